"""`memento notify test`, and who is told of `memento run`: addresses from the command line or the environment.

Knows: addresses, MEMENTO_NOTIFY. May not know: runs, what messages say. Addresses hold secrets and are never printed.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence

from memento.cli.exit_codes import UsageError
from memento.cli.printing import print_json, print_safe
from memento.notify.addresses import MAIL, AddressesNotificationProvider, WrongAddress

VARIABLE = "MEMENTO_NOTIFY"  # addresses, with spaces between them
WATCHED = 60.0  # seconds; of a run that takes less, on a terminal, somebody has seen the end


def provider(addresses: Sequence[str]) -> AddressesNotificationProvider | None:
    """Return who tells people of a run: by the addresses that were given, else by those of the environment.

    Where only the environment asks for messages, a short run on a terminal sends none.
    """
    found = list(addresses) or _of_environment()
    if not found:
        return None
    watched = WATCHED if not addresses and sys.stderr.isatty() else 0.0
    try:
        return AddressesNotificationProvider(found, shortest=watched)
    except WrongAddress as error:
        raise UsageError(f"{'--notify' if addresses else VARIABLE}: {error}") from None


def send_test(addresses: Sequence[str], *, as_json: bool) -> bool:
    """Send a message to each address, print what became of it, and tell whether all took it."""
    found = list(addresses) or _of_environment()
    if not found:
        raise UsageError(
            f"there is no address to send to: memento notify test '{MAIL}', or an address of Apprise; or set"
            f" {VARIABLE} to one or several, with spaces between them."
        )
    try:
        to = AddressesNotificationProvider(found)
    except WrongAddress as error:
        raise UsageError(f"{error}") from None
    subject = "[Memento] test"
    body = f"Messages of Memento arrive here. Sent by `memento notify test` on {platform.node()}.\n"
    told = to.try_each(subject, body)
    if as_json:
        sent = [{"address": shown, "sent": not why, "problem": why or None} for shown, why in told]
        print_json("notify-test", {"sent": sent})
    else:
        for shown, why in told:
            print_safe(f"{shown}  {f'not sent: {why}' if why else 'sent'}")
    return not any(why for _, why in told)


def _of_environment() -> list[str]:
    return os.environ.get(VARIABLE, "").split()
