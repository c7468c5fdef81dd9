"""An amount of memory is read as Kubernetes and makers of GPUs write it."""

import pytest

from modelrefresh.contract import forms


@pytest.mark.parametrize(
    ("text", "expected"),
    [("80Gi", 80 << 30), ("80GiB", 80 << 30), ("80G", 80 * 10**9), ("80GB", 80 * 10**9), ("81559Mi", 81_559 << 20),
     ("1.5T", 15 * 10**11)],
)  # fmt: skip
def test_powers_of_1024_are_told_from_powers_of_1000(text: str, expected: int) -> None:
    assert forms.in_bytes(text) == expected


@pytest.mark.parametrize("text", ["0Gi", "80", "-80Gi", "80 GB", "80gb", "eighty", "", "1e3G", "80Gi\n"])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 80Gi or 80GB"):
        forms.in_bytes(text)
