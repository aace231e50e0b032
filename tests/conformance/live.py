"""What the scenarios need on a real cloud: the variables that switch it on, the job's identity token, names that no other
run has, patience with answers that are old, and a clean-up that leaves nothing behind.

`python -m live clean`, in a cloud's folder, removes what this run made and what runs before it left more than a day ago.
`python -m live missing CLOUD` names the variables without which the cloud is not switched on.
"""

import dataclasses
import datetime
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

# What must be given, by cloud. What may be given is with the cloud's `live_store`.
NEEDED = {
    "aws": ("LIVE_AWS_ROLE_ARN", "LIVE_AWS_REGION"),
    "gcp": ("LIVE_GCP_PROJECT", "LIVE_GCP_WORKLOAD_IDENTITY_PROVIDER"),
    "azure": ("LIVE_AZURE_VAULT", "LIVE_AZURE_TENANT_ID", "LIVE_AZURE_CLIENT_ID"),
}
REQUEST_URL, REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
# Whether the tests run on the real cloud; elsewhere they rehearse on the double.
ON = os.environ.get("ENVSYNC_LIVE") == "true"
# How every name of every run begins, which is also what the permissions can be bound to.
BASE = "envsync-live-"
# A run ends long before, so what is older belongs to none.
LEFT_OVER = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds, but for `looks`."""

    # Before a store is looked at for the first time: that nothing was written must not be an answer that is old.
    before: float = 1
    # How often in a row an answer has to be right, because two servers of one cloud may differ; and between two looks at
    # one secret, and at a list.
    looks: int = 2
    pause: float = 1
    lists_pause: float = 5
    # How long it is waited for.
    answers: float = 60
    lists: float = 300
    removal: float = 600


HURRIED = Pace(before=0, pause=0.01, lists_pause=0.01, answers=5, lists=5, removal=20)


class Site:
    """One run of the job: what the repository's variables say, and who it is."""

    def __init__(self, variables):
        self.variables = variables
        self.pace = HURRIED if self["HURRIED"] else Pace()
        run, attempt = (variables.get(f"GITHUB_RUN_{part}") or "0" for part in ("ID", "ATTEMPT"))
        self.prefix = f"{BASE}{run}-{attempt}-"

    def __getitem__(self, name):
        """Empty where it is not set."""
        return self.variables.get(f"LIVE_{name}", "").strip()

    @property
    def runner(self):
        return {name: self.variables[name] for name in (REQUEST_URL, REQUEST_TOKEN)}

    def token_url(self, audience):
        # It has a query already.
        return f"{self.variables[REQUEST_URL]}&{urllib.parse.urlencode({'audience': audience})}"

    def token(self, audience):
        """An identity token of its own for each exchange: it is good for minutes only."""
        headers = {"Authorization": f"Bearer {self.variables[REQUEST_TOKEN]}"}
        request = urllib.request.Request(self.token_url(audience), headers=headers)
        for last in (False, False, True):
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return json.load(answer)["value"]
            except OSError as error:
                if last or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                    raise
            time.sleep(self.pace.pause)

    def made(self, name, when, now):
        """Whether a secret is this run's, or left over."""
        return name.startswith(self.prefix) or (name.startswith(BASE) and when < now - LEFT_OVER)


class Live:
    """A cloud's store on the real cloud, to be put before it. A cloud gives what is written out here as missing."""

    name = "live"
    unlocked = ""
    # A lost race costs a version on AWS, which takes about 100 a day: 8 writers make 36 at the very most. On Google 8 get
    # by with two versions a second.
    writers = 8

    site: Site

    def seen(self, name):
        """The id of the version that a reader gets now."""
        raise NotImplementedError

    def every(self):
        """Each secret whose name begins with `BASE`, deleted ones that can still be removed too: its name, when it was
        made, whether it is deleted, and what removes it, which gives False where it may not."""
        raise NotImplementedError

    @property
    def runner(self):
        return self.site.runner

    def make(self):
        return f"{self.site.prefix}{uuid.uuid4().hex[:8]}"

    def seed(self, name, payload, **more):
        version = super().seed(name, payload, **more)
        pace = self.site.pace
        self.wait(pace.answers, pace.pause, f"version {version} of {name}", lambda: self.seen(name) == version)
        return version

    def schedule_deletion(self, name):
        super().schedule_deletion(name)
        pace = self.site.pace
        self.wait(pace.answers, pace.pause, f"the deletion of {name}", lambda: self.is_deleted(name))

    def settle(self, names):
        wanted, pace = set(names), self.site.pace
        self.wait(
            pace.lists,
            pace.lists_pause,
            f"a list with {len(wanted)} secrets",
            lambda: wanted <= {name for name, _, deleted, _ in self.every() if not deleted},
        )

    def wait(self, seconds, pause, what, look):
        """Returns when `look` gives true so many times in a row."""
        end, good = time.monotonic() + seconds, 0
        while True:
            good = good + 1 if look() else 0
            if good == self.site.pace.looks:
                return
            if time.monotonic() > end:
                raise TimeoutError(f"{what} is not seen after {seconds} s")
            time.sleep(pause)

    def eventually(self, check):
        time.sleep(self.site.pace.before)
        end = time.monotonic() + self.site.pace.answers
        while True:
            try:
                return check()
            # Whatever it fails with, an old answer may be why.
            except Exception:
                if time.monotonic() > end:
                    raise
            time.sleep(self.site.pace.pause)

    def clean(self, now=None):
        """Removes what this run made and what is left over, until lists show none of it; gives the names."""
        now = now or datetime.datetime.now(datetime.timezone.utc)
        removed = set()

        def nothing_left():
            found = [(name, remove) for name, when, _, remove in self.every() if self.site.made(name, when, now)]
            for name, remove in found:
                if remove() is not False:
                    removed.add(name)
            return not found

        pace = self.site.pace
        self.wait(pace.removal, pace.lists_pause, "a list without the run's secrets", nothing_left)
        return removed


def main(arguments):
    match arguments:
        case ["missing", cloud]:
            print(" ".join(name for name in NEEDED[cloud] if not os.environ.get(name, "").strip()))
        case ["clean"]:
            from live_store import connect

            store = connect(Site(os.environ))
            print(f"{len(store.clean())} secrets of {store.site.prefix}* and of runs before are removed", end="")
            print(f"; {store.remains}" if store.remains else "")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
