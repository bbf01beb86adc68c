"""A host's firewall: what it lets in, and maybe what it lets out, as text for nft."""

from __future__ import annotations

from collections.abc import Iterable

Rule = tuple[str, int]
"""An address or a network, and a TCP port: of those who may come in, or where one may go out to."""


def firewall(inward: Iterable[Rule] = (), outward: Iterable[Rule] | None = None) -> str:
    """Everything else is refused in a way that is heard at once; `outward` None lets all out."""
    incoming = [f"ip saddr {who} tcp dport {port} accept" for who, port in inward]
    chains = [_chain("input", "iifname", incoming)]
    if outward is not None:
        outgoing = [f"ip daddr {whom} tcp dport {port} accept" for whom, port in outward]
        chains.append(_chain("output", "oifname", outgoing))
    return "\n".join(["table inet site {", *chains, "}", ""])


def _chain(hook: str, interface: str, rules: list[str]) -> str:
    lines = [
        f"type filter hook {hook} priority filter; policy drop;",
        f'{interface} "lo" accept',
        "ct state established,related accept",
        *rules,
        "meta l4proto tcp reject with tcp reset",
    ]
    return "\n".join([f"  chain {hook} {{", *(f"    {line}" for line in lines), "  }"])
