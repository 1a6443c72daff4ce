"""What every generator shares that draws with steps, guidance and a size, whether its weights are here or behind an address."""

from abc import abstractmethod
from dataclasses import replace
from typing import Self

from pipeline.stage import Stage
from schemas.generation import GenerationSettings


class SettableGenerator(Stage):
    """A stage that draws from a prompt as settings say: of its recipe, of the command line, of a row."""

    model: str

    @abstractmethod
    def check_row(self, text: str | None) -> None:
        """Raise InputError, which begins with the setting's name, for a row's own settings that cannot be drawn with."""

    def with_settings(self, settings: GenerationSettings) -> Self:
        """This stage with these settings in place of its own. May raise InputError as `check_row` does."""
        return replace(self, **settings.given())
