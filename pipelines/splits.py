"""Split policies: the official split of a dataset, or percentages of its training set."""

from __future__ import annotations

from pipelines.errors import USAGE, DataError


def percentages(policy: str) -> tuple[int, int, int] | None:
    """Read a split policy.

    Args:
        policy: "official", or three percentages such as "60/20/20" for train, validation and test.

    Returns:
        None for "official", else the three percentages.

    Raises:
        DataError: The policy is neither.

    Example:
        >>> percentages("60/20/20")
        (60, 20, 20)
    """
    if policy == "official":
        return None
    parts = policy.split("/")
    if len(parts) == 3 and all(part.isdecimal() and int(part) > 0 for part in parts) and sum(map(int, parts)) == 100:
        return tuple(map(int, parts))
    raise DataError(
        f'split "{policy}" is not "official" or three percentages that sum to 100, such as "60/20/20"', USAGE
    )


def bounds(policy: tuple[int, int, int], count: int) -> tuple[int, int]:
    """Return the start of validation and test if `count` examples are divided in order.

    Raises:
        DataError: A part would be empty.
    """
    first = count * policy[0] // 100
    second = count * (policy[0] + policy[1]) // 100
    if not 0 < first < second < count:
        raise DataError(f"{count} examples are too few to be split {'/'.join(map(str, policy))}", USAGE)
    return first, second
