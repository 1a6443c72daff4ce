"""What a text-to-image class of diffusers says of itself, in its signature and its lists, before anything is loaded.

Nothing here names the classes that are allowed. A class is refused for what it asks for and we do not have, with the reason.
"""

import inspect
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Self

from schemas.errors import InputError
from stages.generate import settings
from stages.generate.quiet import quieten
from stages.generate.settings import Family

# Parameters that tell what a class makes or wants, where it is no picture from a prompt alone.
FILMS = ("num_frames", "video_length", "video")
SOUND = ("audio_length_in_s", "audio_end_in_s", "audio_duration", "lyrics")
CONTROL = ("control_image", "controlnet", "adapter", "motion_adapter")
PICTURES_GIVEN = ("image", "images", "input_images", "mask_image", "source_prompt", "video")
# How strongly a picture follows its prompt, by the names that pipelines call it: the first that a class has is meant.
GUIDANCE = ("guidance_scale", "distilled_guidance_scale", "prior_guidance_scale")


@dataclass(frozen=True, slots=True)
class PipelineClass:
    """One class of diffusers: `accepts` are the parameters of its call with their defaults, `parts` those of its making."""

    name: str
    accepts: dict[str, Any]
    parts: frozenset[str]
    packs: bool  # lays 2 x 2 latent cells into one place of its transformer
    family: Family

    @classmethod
    def named(cls, name: str) -> Self:
        """Raises InputError, with the reason, for a class that does not draw pictures from a prompt alone."""
        reason = refusal(name)
        if reason is not None:
            raise InputError(f"a {name} {reason}")
        class_ = _diffusers(name)
        accepts = {key: each.default for key, each in inspect.signature(class_.__call__).parameters.items()}
        made_of = frozenset(inspect.signature(class_.__init__).parameters) - {"self"}
        packs = any(hasattr(class_, method) for method in ("_pack_latents", "_patchify_latents"))
        return cls(name, accepts, made_of, packs, settings.FAMILIES.get(name, settings.UNMEASURED))

    @property
    def found(self) -> Any:
        """The class itself."""
        return _diffusers(self.name)

    @property
    def guidance(self) -> str | None:
        """The parameter that says how closely to follow the prompt, None where that is fixed."""
        return next((name for name in GUIDANCE if name in self.accepts), None)

    @property
    def guidance_kind(self) -> str:
        """For people: a second run without the prompt (classifier-free), a number the model was taught (embedded), or fixed."""
        if "true_cfg_scale" in self.accepts:
            return "true_cfg_scale" + (", embedded" if "guidance_scale" in self.accepts else "")
        if self.guidance == "prior_guidance_scale":
            return "classifier-free, in the prior"
        if self.guidance is None:
            return "fixed"
        return "classifier-free" if "negative_prompt" in self.accepts else "embedded"

    @property
    def image_to_image(self) -> Any:
        """Its image-to-image class, None where diffusers has none."""
        from diffusers.pipelines import auto_pipeline

        task = auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING
        return auto_pipeline._get_task_class(task, self.name, throw_error_if_not_exist=False)

    def fixed_arguments(self) -> dict[str, Any]:
        """What every call is told, of what this class understands."""
        return {name: value for name, value in settings.CALL.items() if name in self.accepts} | dict(self.family.call)

    def fixed_parts(self, index: dict[str, Any]) -> dict[str, Any]:
        """Parts that are loaded otherwise than `index`, its model_index.json, says."""
        unused = {part: None for part in settings.UNUSED_PARTS if part in self.parts and part in index}
        switched = {name: value for name, value in settings.SWITCHED_OFF.items() if name in self.parts}
        return unused | switched


@lru_cache
def refusal(name: str) -> str | None:
    """Why pictures cannot be drawn with this class, None where they can."""
    import diffusers

    cls = _diffusers(name)
    if cls is None:
        return f"is no pipeline of diffusers {diffusers.__version__}"
    if type(cls).__name__ == "DummyObject":
        return f"needs packages that are not installed: {', '.join(cls._backends)}"
    accepts = dict(inspect.signature(cls.__call__).parameters)
    accepts.pop("self")
    parts = inspect.signature(cls.__init__).parameters
    if "prompt" not in accepts:
        return "takes no prompt"
    for inputs, reason in ((FILMS, "draws films, not pictures"), (SOUND, "makes sound, not pictures")):
        if any(one in accepts for one in inputs):
            return reason
    control = [one for one in CONTROL if one in accepts or one in parts]
    if control:
        return f"needs a {control[0].removesuffix('_image').removesuffix('net')} beside the prompt"
    if any(word in name for word in settings.FROM_PICTURES) or not _draws_from_text(name, accepts):
        return "changes a picture that it is given; it does not draw from a prompt alone"
    needed = [
        one for one, each in accepts.items() if each.default is each.empty and _is_named(each) and one != "prompt"
    ]
    if needed:
        return f"needs {', '.join(needed)} beside the prompt"
    package = settings.NEEDS.get(name)
    return None if package is None or find_spec(package) else f"needs the package {package}, which is not installed"


def _diffusers(name: str) -> Any:
    import diffusers

    quieten()
    cls = getattr(diffusers, name, None) if name.endswith("Pipeline") else None
    return cls if inspect.isclass(cls) and callable(cls) else None


def _is_named(parameter: inspect.Parameter) -> bool:
    return parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)


def _draws_from_text(name: str, accepts: dict[str, inspect.Parameter]) -> bool:
    """Whether diffusers itself lists the class for that, or its pictures may be left out."""
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    if name in settings.FROM_TEXT or name in {one.__name__ for one in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}:
        return True
    inputs = [accepts[one] for one in PICTURES_GIVEN if one in accepts]
    return all("None" in str(one.annotation) or "Optional" in str(one.annotation) for one in inputs)
