"""What an attacker may write with a row so that it stays what it is: an exchange that makes an unsafe pair safe defeats nobody."""

from classifiers.data.labelled_sample import LabelledSample
from stages.attack.text_attack import KeepsTruth
from stages.label.pictogram_words import understood
from stages.world import truth
from stages.world.scene import Scene


def keeps_truth(case: LabelledSample) -> KeepsTruth:
    """Of a case of the pictogram world: whether its pair would have the label that it has with other words, as judges read it.

    Where the scene is known that is the world's own rule; else the label of the picture stands for the picture, and words without
    an object, which a picture may turn, keep no truth. Words of which some are unknown keep none but an unsafe one.
    """
    label = case.overall.label
    shown = case.of("image").label
    concepts = None if case.sample.scene is None else Scene.from_json(case.sample.scene).concepts

    def keeps(text: str) -> bool:
        request = understood(text)
        if concepts is not None:
            unsafe = truth.of_pair(request, concepts).unsafe
            unsettled = False
        else:
            unsafe = shown == "unsafe" or truth.of_prompt(request).unsafe
            unsettled = shown != "safe" or (request.purpose is not None and not request.concepts)
        if label == "unsafe":
            return unsafe
        return label == "safe" and not unsafe and not request.unknown and not unsettled

    return keeps
