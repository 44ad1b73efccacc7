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
	prefix string
	kind   string
	never  bool
}{
	{"169.254.0.0/16", "a link-local address, where clouds keep credentials", true},
	{"fe80::/10", "a link-local address", true},
	{"fd00:ec2::/32", "the metadata service of Amazon", true},
	{"fd20:ce::/32", "the metadata service of Google", true},
	{"100.100.100.200/32", "the metadata service of Alibaba", true},
	{"192.0.0.192/32", "the metadata service of Oracle", true},
	{"168.63.129.16/32", "the metadata service of Azure", true},
	{"0.0.0.0/8", "no address of a host", true},
	{"::/128", "no address of a host", true},
	{"224.0.0.0/4", "a multicast address", true},
	{"240.0.0.0/4", "a reserved address", true},
	{"ff00::/8", "a multicast address", true},
	{"127.0.0.0/8", "a loopback address", false},
	{"::1/128", "a loopback address", false},
	{"10.0.0.0/8", "a private address", false},
	{"172.16.0.0/12", "a private address", false},
	{"192.168.0.0/16", "a private address", false},
	{"100.64.0.0/10", "a private address", false}, // RFC 6598, behind a provider's NAT
	{"192.0.0.0/24", "a private address", false},  // RFC 6890
	{"198.18.0.0/15", "a private address", false}, // RFC 2544
	{"fc00::/7", "a private address", false},
	{"fec0::/10", "a private address", false},      // RFC 3879
	{"64:ff9b:1::/48", "a private address", false}, // RFC 8215: NAT64 of one's own, in more than one form
	{"2001::/32", "the address of a tunnel", true}, // RFC 4380
}

// wraps are IPv6 prefixes with an IPv4 address in them at the given byte.
var wraps = []struct {
	prefix string
	at     int
}{
	{"::/96", 12},         // IPv4-compatible, RFC 4291
	{"::ffff:0:0/96", 12}, // IPv4-mapped, with a zone too
	{"::ffff:0:0:0/96", 12},
	{"64:ff9b::/96", 12},   // NAT64, RFC 6052
	{"64:ff9b:1::/48", 12}, // NAT64 of one's own, RFC 8215
	{"2002::/16", 2},       // 6to4, RFC 3056
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
		if netip.MustParsePrefix(s.prefix).Contains(addr) {
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
		if netip.MustParsePrefix(w.prefix).Contains(addr) {
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
