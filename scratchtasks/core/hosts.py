"""The names that /etc/hosts has in every image, and how it writes addresses.

Docker writes the same ones into the file that it mounts over the image's.
"""

FIXED = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::", "ip6-localnet"),
    ("ff00::", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
"""The lines: an address, and its names with spaces between."""

FIXED_NAMES = {name: address for address, names in reversed(FIXED) for name in names.split()}
"""The first address of each of these names."""


def plain_address(text: str) -> str:
    """The IP address *text* in its one form, whichever version of Python says it.

    Raises: ValueError for anything else.
    """
    import ipaddress

    address = ipaddress.ip_address(text)
    # Until Python 3.13 `::ffff:10.0.0.7` was shown as `::ffff:a00:7`.
    mapped = address.ipv4_mapped if address.version == 6 else None
    return f"::ffff:{mapped}" if mapped else str(address)
