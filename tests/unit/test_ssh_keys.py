import pytest

from roachmesh import ssh_keys

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJH/dHpTyls+n48A10tvEMU9LJ0aIGgfgpmMdx8wkfc4"


@pytest.mark.parametrize("line", [PUBLIC, f"{PUBLIC} somebody@somewhere\n"])
def test_a_key_is_named_as_openssh_names_it(line: str) -> None:
    # What `ssh-keygen -l` says of it.
    assert ssh_keys.fingerprint(line) == "SHA256:JlVDXHJ8DOjY8d/JK+fhPJr8yD+P/76DF8rSkSFr0Zk"


def test_a_new_key_has_a_name_of_its_own() -> None:
    one, other = (ssh_keys.fingerprint(ssh_keys.generate().public) for _ in range(2))

    assert one != other


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "not a key", "ssh-rsa " + PUBLIC.split()[1], "-----BEGIN KEY"]
)
def test_what_is_no_public_key_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever Python says of it
        ssh_keys.fingerprint(line)
