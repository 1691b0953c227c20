"""Which api-versions Azure takes: a list for each provider, disks have their own, and ARM has one.

Whatever the version, the sandbox answers in one shape; one that Azure does not know is refused as there.
Newer ones are added when a client sends them (`tests/sandbox/test_az.py` tells when).

Source: the lists in the refusals of Azure/azure-cli#28496 and #31868 (networks), azure-sdk-for-python#32029
(machines), ansible-collections/azure#1930 (ARM); what is younger than those is what the SDK and `az` send.
"""

import re

from sandbox.arm.errors import ArmError
from sandbox.arm.locations import REGIONS

ARM = """
    2014-04 2014-02-26 2013-03-01 2014-01-01 2014-04-01 2014-04-01-preview 2015-01-01 2015-11-01 2016-02-01
    2016-06-01 2016-07-01 2016-09-01 2017-03-01 2017-05-01 2017-05-10 2017-06-01 2017-08-01 2017-12-01
    2018-01-01 2018-02-01 2018-05-01 2018-06-01 2018-07-01 2018-08-01 2018-09-01 2018-11-01 2019-03-01
    2019-05-01 2019-05-10 2019-06-01 2019-07-01 2019-08-01 2019-09-01 2019-10-01 2019-11-01 2020-01-01
    2020-05-01 2020-06-01 2020-07-01 2020-08-01 2020-09-01 2020-10-01 2021-01-01 2021-04-01 2022-01-01
    2022-03-01-preview 2022-05-01 2022-06-01 2022-09-01 2022-11-01-preview 2022-12-01 2023-03-01-preview
    2023-07-01-preview 2023-07-01 2024-03-01 2024-06-01-preview 2024-07-01 2024-08-01 2024-11-01
    2024-10-01-preview 2025-03-01 2025-04-01
""".split()
NETWORK = """
    2014-12-01-preview 2015-05-01-preview 2015-06-15 2016-03-30 2016-06-01 2016-07-01 2016-08-01 2016-09-01
    2016-10-01 2016-11-01 2016-12-01 2017-03-01 2017-04-01 2017-06-01 2017-08-01 2017-09-01 2017-10-01
    2017-11-01 2018-01-01 2018-02-01 2018-03-01 2018-04-01 2018-05-01 2018-06-01 2018-07-01 2018-08-01
    2018-10-01 2018-11-01 2018-12-01 2019-02-01 2019-04-01 2019-06-01 2019-07-01 2019-08-01 2019-09-01
    2019-11-01 2019-12-01 2020-01-01 2020-03-01 2020-04-01 2020-05-01 2020-06-01 2020-07-01 2020-08-01
    2020-11-01 2021-01-01 2021-02-01 2021-03-01 2021-04-01 2021-05-01 2021-06-01 2021-08-01 2021-12-01
    2022-01-01 2022-05-01 2022-07-01 2022-09-01 2022-11-01 2023-02-01 2023-04-01 2023-05-01 2023-06-01
    2023-09-01 2023-11-01 2024-01-01 2024-03-01 2024-05-01 2024-07-01 2024-10-01 2025-01-01 2025-03-01
    2025-05-01 2025-07-01 2025-09-01 2026-03-01
""".split()
COMPUTE = """
    2015-05-01-preview 2015-06-15 2016-03-30 2016-04-30-preview 2016-08-30 2017-03-30 2017-12-01 2018-04-01
    2018-06-01 2018-10-01 2019-03-01 2019-07-01 2019-12-01 2020-06-01 2020-12-01 2021-03-01 2021-04-01
    2021-07-01 2021-11-01 2022-03-01 2022-08-01 2022-11-01 2023-03-01 2023-07-01 2023-09-01 2024-03-01
    2024-07-01 2024-11-01 2025-04-01 2025-11-01 2026-03-01 2026-04-01
""".split()
DISKS = """
    2016-04-30-preview 2017-03-30 2018-04-01 2018-06-01 2018-09-30 2019-03-01 2019-07-01 2019-11-01 2020-05-01
    2020-06-30 2020-09-30 2020-12-01 2021-04-01 2021-08-01 2021-12-01 2022-03-02 2022-07-02 2023-01-02
    2023-04-02 2023-10-02 2024-03-02 2025-01-02 2026-03-02
""".split()
OF_A_PROVIDER = re.compile(r".*/providers/[^/]+/(?!register$).+", re.IGNORECASE)


def known(type_name: str) -> list[str]:
    """All api-versions of a resource type, newest first, as a provider's document lists them."""
    own = {"microsoft.compute/disks": DISKS}.get(type_name.lower())
    namespace = COMPUTE if type_name.lower().startswith("microsoft.compute/") else NETWORK
    return sorted(own or namespace, reverse=True)


def check_given(path: str, version: str | None) -> None:
    """Refuse a request without a version, and one to ARM itself with a wrong one."""
    if not version:
        message = "The api-version query parameter (?api-version=) is required for all requests."
        raise ArmError(400, "MissingApiVersionParameter", message)
    if version not in ARM and not OF_A_PROVIDER.fullmatch(path):
        supported = ",".join(reversed(ARM))
        message = f"The api-version '{version}' is invalid. The supported versions are '{supported}'."
        raise ArmError(400, "InvalidApiVersionParameter", message)


def check_of_type(type_name: str, version: str, location: str) -> None:
    """Refuse a version that the type's provider does not know."""
    supported = known(type_name)
    if version not in supported:
        message = (
            f"No registered resource provider found for location '{location}' and API version '{version}' "
            f"for type '{type_name.partition('/')[2]}'. The supported api-versions are "
            f"'{', '.join(reversed(supported))}'. The supported locations are '{', '.join(REGIONS)}'."
        )
        raise ArmError(400, "NoRegisteredProviderFound", message)
