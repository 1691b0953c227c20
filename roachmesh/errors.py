"""Everything that can go wrong, in one tree.

RoachmeshError                message, where, advice
├─ Permanent                  retrying does not help
│  ├─ InvalidTopology         the input cannot work                             exit code 2
│  ├─ NotConfirmed            what cannot be undone was not confirmed           exit code 2
│  ├─ NotApproved             somebody who was asked said no                    exit code 2
│  ├─ AlreadyRunning          another run changes this topology                 exit code 2
│  ├─ CannotContinue          the run that is to be continued cannot be         exit code 2
│  ├─ CannotFanOut            regions cannot run on workers                     exit code 2
│  ├─ MissingProgram          this computer lacks a program                     exit code 2
│  ├─ PrefectUnreachable      no Prefect server answers                         exit code 2
│  ├─ BlockMissing            Prefect has no such block                         exit code 2
│  ├─ NotDeployed             what is asked for does not exist                  exit code 10
│  ├─ Drifted                 Azure is not as planned                           exit code 10
│  ├─ NotOurs                 it exists and does not carry our tags             exit code 10
│  │  └─ DeployedElsewhere    another Prefect server has the keys to it         exit code 10
│  ├─ AzureRefused            Azure said no, with its code                      exit code 10
│  ├─ ReplaceMachine          a living machine cannot be changed so             exit code 10
│  ├─ HostFailed              a command failed there, or its host key is wrong exit code 20
│  ├─ GateFailed              nodes cannot reach each other                     exit code 20
│  ├─ KubernetesRefused       a Kubernetes API said no, or cannot do it         exit code 30
│  └─ DatabaseFailed          CockroachDB refused                               exit code 40
└─ Transient                  retrying may help
   ├─ NotReadyYet             a wait ended before what it waited for came true  10, or who was last asked
   ├─ RegionLost              a region's process on a worker is gone            exit code 1
   ├─ AzureBusy               throttled, locked or unreachable                  exit code 10
   ├─ HostUnreachable         no SSH session                                    exit code 20
   ├─ HostBusy                a machine could not do it now                     exit code 20
   ├─ KubernetesBusy          no Kubernetes API answers, or not now             exit code 30
   └─ DatabaseBusy            no answer, or a transaction to repeat             exit code 40
"""


class RoachmeshError(Exception):
    """Says what failed, where, and what to do now.

    Attributes:
        message: What failed and what the other side said.
        where: Region, node or resource; empty when the message names it.
        advice: What the reader can do; empty when there is nothing but to wait.
        also: What failed beside it, as it would have been said.
    """

    exit_code = 1
    also: tuple[str, ...] = ()

    def __init__(self, message: str, *, where: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.advice = advice

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        apart = "\n" if "\n" in self.message else " "
        advice = f"{apart}{self.advice}" if self.advice else ""
        also = "".join(f"\nAlso: {error}" for error in self.also)
        return f"{place}{self.message}{advice}{also}"


class Permanent(RoachmeshError):
    """Retrying does not help."""


class Transient(RoachmeshError):
    """Retrying may help."""


class InvalidTopology(Permanent):
    """The topology cannot work; nothing was created."""

    exit_code = 2


class NotConfirmed(Permanent):
    """What cannot be undone was not confirmed."""

    exit_code = 2


class NotApproved(Permanent):
    """Somebody was asked and said no, or nobody could be asked; nothing was touched."""

    exit_code = 2


class AlreadyRunning(Permanent):
    """Another run changes this topology."""

    exit_code = 2


class CannotContinue(Permanent):
    """There is no such unfinished run."""

    exit_code = 2


class CannotFanOut(Permanent):
    """Regions cannot run on workers."""

    exit_code = 2


class MissingProgram(Permanent):
    """This computer lacks a program."""

    exit_code = 2


class PrefectUnreachable(Permanent):
    """No Prefect server is named, or it does not answer."""

    exit_code = 2


class BlockMissing(Permanent):
    """Prefect holds no block of that name."""

    exit_code = 2


class NotDeployed(Permanent):
    """What is asked for does not exist in Azure."""

    exit_code = 10


class Drifted(Permanent):
    """Azure is not what was planned; `deploy` mends that."""

    exit_code = 10


class NotOurs(Permanent):
    """Something with a name of ours exists and was not made by this topology."""

    exit_code = 10


class DeployedElsewhere(NotOurs):
    """It is this topology's, and the keys to it are in the blocks of another Prefect server."""


class AzureRefused(Permanent):
    """Azure refused a request; `code` is its error code."""

    exit_code = 10

    def __init__(self, message: str, *, where: str = "", advice: str = "", code: str = "") -> None:
        super().__init__(message, where=where, advice=advice)
        self.code = code


class ReplaceMachine(Permanent):
    """A machine differs from the plan in what cannot be changed while it lives."""

    exit_code = 10


class HostFailed(Permanent):
    """A command on a machine failed, or the machine is not the one we made."""

    exit_code = 20


class GateFailed(Permanent):
    """Nodes cannot reach each other; the database was not touched."""

    exit_code = 20


class KubernetesRefused(Permanent):
    """A Kubernetes API refused what we asked, or what runs in the cluster failed."""

    exit_code = 30


class DatabaseFailed(Permanent):
    """CockroachDB refused what we asked."""

    exit_code = 40


class NotReadyYet(Transient):
    """A wait ended before what it waited for came true; `exit_code` is that of who kept us waiting."""

    exit_code = 10

    def __init__(
        self, message: str, *, where: str = "", advice: str = "", exit_code: int = exit_code
    ) -> None:
        super().__init__(message, where=where, advice=advice)
        self.exit_code = exit_code


class RegionLost(Transient):
    """The process of a region on a worker is gone, or somebody ended its run."""


class AzureBusy(Transient):
    """Azure throttles, is busy with the same thing, or does not answer."""

    exit_code = 10


class HostUnreachable(Transient):
    """No SSH session to a machine."""

    exit_code = 20


class HostBusy(Transient):
    """A machine could not do what it was asked now, but may later."""

    exit_code = 20


class KubernetesBusy(Transient):
    """No server of a cluster answers, or the cluster is not so far yet."""

    exit_code = 30


class DatabaseBusy(Transient):
    """CockroachDB does not answer, or wants a transaction repeated."""

    exit_code = 40
