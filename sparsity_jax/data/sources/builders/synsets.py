"""Names of WordNet's classes: the first word of each, where it is the only class so called."""

from collections import Counter
from collections.abc import Mapping, Sequence


def class_words(identifiers: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """Name classes by their words.

    Args:
        identifiers: WordNet's, in the order of the labels.
        words: synonyms by identifier, separated by commas. A class without words keeps its
            identifier; classes with the same first word (ImageNet has a crane that flies and one
            that lifts) get it behind.

    Example:
        >>> words = {"n02012849": "crane", "n03126707": "crane", "n01443537": "goldfish, Carassius"}
        >>> class_words(("n01443537", "n02012849", "n03126707", "n1"), words)
        ('goldfish', 'crane (n02012849)', 'crane (n03126707)', 'n1')
    """
    first = [words.get(each, "").partition(",")[0].strip() or each for each in identifiers]
    times = Counter(first)
    return tuple(
        name if times[name] == 1 else f"{name} ({identifier})"
        for name, identifier in zip(first, identifiers, strict=True)
    )
