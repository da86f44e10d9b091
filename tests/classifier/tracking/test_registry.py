"""The alias champion, where other processes set it at the same time."""

import pytest

from classifier.support.errors import InputError
from classifier.tracking import registry
from classifier.tracking.registry import Promotion, TaggedVersion, promote

ACCURACIES = {1: "0.7", 2: "0.8", 3: "0.9"}  # by version


class Store:
    """The alias champion of a store; ``overwritten`` by another process after it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, overwritten: list[int]):
        self.champion: int | None = 1
        self.overwritten = overwritten
        monkeypatch.setattr(registry, "version_of_alias", self.read)
        monkeypatch.setattr(registry, "set_alias", self.set)

    def read(self, name: str, alias: str) -> TaggedVersion | None:
        number = self.champion
        return None if number is None else TaggedVersion(number, {"accuracy": ACCURACIES[number]})

    def set(self, name: str, alias: str, version: int) -> None:
        self.champion = self.overwritten.pop(0) if self.overwritten else version

    def promote(self, version: int) -> Promotion:
        def refusal(champion: TaggedVersion | None) -> str | None:
            better = champion is not None and champion.tags["accuracy"] > ACCURACIES[version]
            return "less accurate" if better else None

        return promote("tiny", version, refusal)


def test_a_version_becomes_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch, overwritten=[])
    promotion = store.promote(2)
    assert (promotion.refused, promotion.champion and promotion.champion.number) == (None, 1)
    assert store.champion == 2
    assert store.promote(1).refused == "less accurate"
    assert store.champion == 2


@pytest.mark.fault("another process sets the alias `champion` meanwhile", "the two are compared")
def test_a_champion_that_was_set_meanwhile_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch, overwritten=[1])
    assert store.promote(2).refused is None
    assert store.champion == 2
    store = Store(monkeypatch, overwritten=[3])
    assert store.promote(2).refused == "less accurate"
    assert store.champion == 3


def test_an_alias_that_is_overwritten_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch, overwritten=[1] * 100)
    with pytest.raises(InputError, match="champion of tiny is overwritten by other processes"):
        store.promote(2)
