"""The command line of a server's end of tunnels: `swlb decap`."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import click

# What is needed besides click is imported by the command itself, so that `swlb show` does not wait for it.


class Vip(click.ParamType):
    """An address that a host can have."""

    name = "address"

    def convert(
        self, value: str | IPv4Address | IPv6Address, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Address | IPv6Address:
        """The address, or a usage error."""
        try:
            address = ip_address(value)
        except ValueError:
            self.fail(f"{value!r} is no IP address", param, ctx)
        if address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local:
            self.fail(f"{address} can be no VIP", param, ctx)
        return address


@click.command(short_help="On a server: unpack IPIP and GUE for the VIPs (root).")
@click.option("--vip", "vips", type=Vip(), multiple=True, required=True, help="Packets for this address are taken.")
@click.option("--gue-port", type=click.IntRange(1, 65535), default=6080, show_default=True, help="UDP port of GUE.")
@click.option("--device", default="swdecap0", show_default=True, help="What the TUN device is called.")
@click.option("--no-ipip", is_flag=True, help="Leave IP in IP (protocols 4 and 41) to others.")
@click.option("--no-gue", is_flag=True, help="Leave GUE to others.")
@click.option("--json", "as_json", is_flag=True, help="Counters as one object a line, for programs.")
def decap(
    vips: tuple[IPv4Address | IPv6Address, ...], gue_port: int, device: str, no_ipip: bool, no_gue: bool, as_json: bool
) -> None:
    """On a server: unpack what comes in IPIP or GUE tunnels for the VIPs, where the kernel cannot (root).

    The packets come to the server's programs out of a TUN device, which has those of the VIPs that the server does
    not have yet; answers leave by the server's own routes, with the VIP as source. Prints "ready" on a line of its own
    once it receives; SIGUSR1 prints what was counted, Ctrl-C or SIGTERM as well, and leaves nothing behind.

    \b
    What is not for a VIP, not sound, not sent to this host, or from this host or a VIP, is dropped and counted.
    Nothing inside is changed but the congestion mark (ECN), as RFC 6040 says.
    Where the reverse path filter of `all` is strict, that of the device becomes loose (rp_filter 2).
    On the balancer's own network also: sysctl -w net.ipv4.conf.all.arp_ignore=1 ('swlb doctor' says when).
    """
    if no_ipip and no_gue:
        raise click.UsageError("--no-ipip and --no-gue together leave nothing to do")
    from swlb.decap import Wanted, run

    run(Wanted(tuple(dict.fromkeys(vips)), device, None if no_gue else gue_port, not no_ipip, as_json))
