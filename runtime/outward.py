"""How we send to the outside: over our own connections, or through an outgoing HTTP proxy where the environment asks for one."""

import os
import ssl

from ingress.outgoing import OutgoingUpstream, outgoing_proxy_wanted
from ingress.upstream import Sender, Upstream
from runtime.settings import Misconfigured, Settings


def sender(chosen: Settings) -> Sender:
    """Lives on the running event loop. Raises Misconfigured."""
    try:
        return _sender(chosen, str(chosen.ca_file) if chosen.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        if chosen.ca_file is None:
            raise
        why = error.strerror or str(error) or type(error).__name__
        raise Misconfigured(f"HELIOGRAPH_CA_FILE={chosen.ca_file}: {why}. Name a readable file of certificates in PEM form.") from error


def _sender(chosen: Settings, ca_file: str | None) -> Sender:
    if outgoing_proxy_wanted(os.environ):
        return OutgoingUpstream(limits=chosen.time_limits(), caps=chosen.caps(), target_hosts=chosen.target_hosts, ca_file=ca_file)
    return Upstream(limits=chosen.time_limits(), caps=chosen.caps(), allow_private_targets=chosen.allow_private_targets, ca_file=ca_file)
