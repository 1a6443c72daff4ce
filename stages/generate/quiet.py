"""Keep diffusers and transformers silent, before the first of their modules that would speak."""


def quieten() -> None:
    """No bars, and no warnings: that for a prompt that is too long prints the prompt, which no log may hold, and that torchvision
    is missing, which importing pipelines says four times, is nobody's concern.
    """
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
