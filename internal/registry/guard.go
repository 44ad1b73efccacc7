package registry

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// guard decides which addresses may be dialled. It looks at the address after
// DNS, so it holds for registries, token servers, redirects and next pages
// alike, whatever name led there.
type guard struct {
	private bool // private and loopback addresses are meant
	allow   []netip.Prefix
}

// guarded is an address that is not dialled.
type guarded struct {
	addr string
	kind string
	// never: no name of a host allows it, AllowNetworks does.
	never bool
}

func (g *guarded) Error() string { return g.addr + " is " + g.kind }

// special are addresses that are no public registry's, with what they are. The
// first that contains an address counts.
var special = []struct {
	prefix netip.Prefix
	kind   string
	never  bool
}{
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where clouds keep credentials", true},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address", true},
	{netip.MustParsePrefix("fd00:ec2::/32"), "the metadata service of Amazon", true},
	{netip.MustParsePrefix("fd20:ce::/32"), "the metadata service of Google", true},
	{netip.MustParsePrefix("100.100.100.200/32"), "the metadata service of Alibaba", true},
	{netip.MustParsePrefix("192.0.0.192/32"), "the metadata service of Oracle", true},
	{netip.MustParsePrefix("168.63.129.16/32"), "the metadata service of Azure", true},
	{netip.MustParsePrefix("0.0.0.0/8"), "no address of a host", true},
	{netip.MustParsePrefix("::/128"), "no address of a host", true},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address", true},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address", true},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address", true},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address", false},
	{netip.MustParsePrefix("::1/128"), "a loopback address", false},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address", false},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address", false},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address", false},
	{netip.MustParsePrefix("100.64.0.0/10"), "a private address", false}, // RFC 6598, behind a provider's NAT
	{netip.MustParsePrefix("192.0.0.0/24"), "a private address", false},  // RFC 6890
	{netip.MustParsePrefix("198.18.0.0/15"), "a private address", false}, // RFC 2544
	{netip.MustParsePrefix("fc00::/7"), "a private address", false},
	{netip.MustParsePrefix("fec0::/10"), "a private address", false}, // RFC 3879
}

// wraps are IPv6 prefixes with an IPv4 address in them at the given byte.
var wraps = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::/96"), 12},         // IPv4-compatible, RFC 4291
	{netip.MustParsePrefix("::ffff:0:0/96"), 12}, // IPv4-mapped, with a zone too
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64 of one's own, RFC 8215
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4, RFC 3056
}

// check returns a *guarded for an address that may not be dialled.
func (g guard) check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	if slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	inner := addr
	if addr != netip.IPv6Unspecified() && addr != netip.IPv6Loopback() {
		inner = unwrap(addr)
	}
	if inner != addr {
		if err := g.check(inner); err != nil {
			var refused *guarded
			if errors.As(err, &refused) {
				refused.addr = fmt.Sprintf("%s (%s)", addr, inner)
			}
			return err
		}
	}
	for _, s := range special {
		if s.prefix.Contains(addr) {
			if g.private && !s.never {
				return nil
			}
			return &guarded{addr: addr.String(), kind: s.kind, never: s.never}
		}
	}
	return nil
}

// unwrap returns the IPv4 address that a packet to addr ends at; addr when none.
func unwrap(addr netip.Addr) netip.Addr {
	for _, w := range wraps {
		if w.prefix.Contains(addr) {
			b := addr.As16()
			return netip.AddrFrom4([4]byte(b[w.at : w.at+4]))
		}
	}
	return addr
}

// control is a net.Dialer.Control.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &guarded{addr: "what its name leads to", kind: "no IP address", never: true}
	}
	return g.check(ap.Addr())
}

// target checks the host of a URL that a proxy will resolve. Names are the
// proxy's affair; addresses and this machine are not.
func (g guard) target(hostname string) error {
	host := strings.TrimSuffix(strings.ToLower(hostname), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return g.check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.check(addr)
	}
	// "2130706433", "0x7f.1" and "127.1" are addresses to many resolvers: no top
	// level domain is a number.
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" || (last[0] >= '0' && last[0] <= '9') || net.ParseIP(host) != nil {
		return &guarded{addr: fmt.Sprintf("%.40q", host), kind: "an address in disguise", never: true}
	}
	return nil
}
