"""What the name of an Azure VM size tells about it, without asking Azure.

Source: "Azure virtual machine sizes naming conventions".
"""

import re
from typing import NamedTuple

PATTERN = r"Standard_([A-Z]{1,4})([0-9]{1,4})(?:-([0-9]{1,3}))?([a-z]{0,6})((?:_[A-Za-z0-9]{1,12}){0,3})"

MIN_VCPUS = 2
# Nearly all families have 4 GiB for each vCPU or more; F, and what has an `l` behind the number, have 2.
GIB_PER_VCPU, LOW_GIB_PER_VCPU = 4, 2
# The first B series has accelerated networking, which our interfaces ask for, from here on.
# Source: "Bv1 size series", its footnote on accelerated networking.
MIN_B_VCPUS = 12


class Size(NamedTuple):
    """The parts of a name that matter here; `vcpus` are those that are switched on."""

    family: str
    vcpus: int
    features: str
    version: str

    @property
    def memory_gib(self) -> int:
        """The memory that it has at the least."""
        low = self.family == "F" or "l" in self.features
        return self.vcpus * (LOW_GIB_PER_VCPU if low else GIB_PER_VCPU)


def read(name: str) -> Size:
    """Take a name apart; `Standard_E4-2s_v5` is an E4 of which two vCPUs are switched on.

    Raises:
        ValueError: this is not the name of a size.
    """
    match = re.fullmatch(PATTERN, name)
    if match is None:
        raise ValueError(f"{name!r} is no Azure VM size")
    family, vcpus, constrained, features, rest = match.groups()
    return Size(family, int(constrained or vcpus), features, rest)


def refuse(name: str) -> str:
    """Pass a size on.

    Raises:
        ValueError: Roachmesh's machines cannot be of that size, and why.
    """
    size = read(name)
    # The old series say it in the family: DS, GS.
    premium_disks = "s" in size.features or (len(size.family) > 1 and size.family.endswith("S"))
    if size.vcpus < MIN_VCPUS:
        problem = f"has {size.vcpus} vCPU and CockroachDB needs {MIN_VCPUS}"
    elif "p" in size.features:
        problem = "has an ARM64 processor and the machines' image and CockroachDB are for x86-64"
    elif not premium_disks:
        problem = "cannot have the Premium SSDs that nodes store on (its name lacks the `s`)"
    elif size.family == "B" and not size.version and size.vcpus < MIN_B_VCPUS:
        problem = "has no accelerated networking"
    else:
        return name
    raise ValueError(f"{name} {problem}; write Standard_D4s_v5, for instance.")
