import pickle

import pytest

from roachmesh import errors
from roachmesh.errors import AzureRefused, RoachmeshError

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RoachmeshError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_way_between_processes(kind: type[RoachmeshError]) -> None:
    error = pickle.loads(pickle.dumps(kind("it failed", where="crdb-eastus-1", advice="Try again.")))  # noqa: S301

    assert type(error) is kind
    assert str(error) == "crdb-eastus-1: it failed Try again."


def test_an_error_of_azure_keeps_its_code() -> None:
    assert pickle.loads(pickle.dumps(AzureRefused("no", code="QuotaExceeded"))).code == "QuotaExceeded"  # noqa: S301


@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_at_the_head_of_the_file_names_every_error(kind: type[RoachmeshError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
