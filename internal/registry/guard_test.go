package registry

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesThatAreNotDialled(t *testing.T) {
	const open, private, never = "open", "private", "never"
	for addr, want := range map[string]string{
		"140.82.121.33": open, "2606:50c0:8000::153": open, "172.15.255.255": open, "172.32.0.1": open, "100.63.255.255": open, "100.128.0.1": open,
		"127.0.0.1": private, "127.255.0.9": private, "::1": private,
		"10.0.0.7": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private, "100.64.0.1": private,
		"198.18.0.1": private, "fd12:3456::1": private, "fc00::1": private, "fec0::1": private,
		"169.254.169.254": never, "169.254.0.1": never, "fe80::1": never, "fe80::1%eth0": never,
		"fd00:ec2::254": never, "fd20:ce::254": never, "100.100.100.200": never, "192.0.0.192": never, "168.63.129.16": never,
		"0.0.0.0": never, "::": never, "224.0.0.1": never, "ff02::1": never, "255.255.255.255": never, "2001::1": never,
		// an IPv4 address in an IPv6 one
		"::ffff:127.0.0.1": private, "::ffff:10.0.0.1": private, "::ffff:169.254.169.254": never, "::ffff:140.82.121.33": open,
		"::169.254.169.254": never, "::ffff:0:169.254.169.254": never,
		"64:ff9b::10.0.0.1": private, "64:ff9b::169.254.169.254": never, "64:ff9b::140.82.121.33": open,
		"64:ff9b:1::169.254.169.254": never, "64:ff9b:1::140.82.121.33": private,
		"2002:0a00:0001::1": private, "2002:a9fe:a9fe::1": never, "2002:8c52:7921::1": open,
	} {
		a := netip.MustParseAddr(addr)
		got := open
		var g *guarded
		if err := (guard{}).check(a); errors.As(err, &g) {
			got = private
			if g.never {
				got = never
			}
			if g.addr == "" || g.kind == "" {
				t.Errorf("%s: the error %q does not say what it is", addr, g)
			}
		}
		if got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
		if err := (guard{private: true}).check(a); (err != nil) != (want == never) {
			t.Errorf("%s with privateNetwork: %v", addr, err)
		}
		if err := (guard{allow: []netip.Prefix{netip.PrefixFrom(a.WithZone("").Unmap(), a.Unmap().BitLen())}}).check(a); err != nil {
			t.Errorf("%s, allowed: %v", addr, err)
		}
	}
}

func TestTargetsOfProxies(t *testing.T) {
	for host, good := range map[string]bool{
		"ghcr.io": true, "1password.com": true, "registry.corp": true, "140.82.121.33": true,
		"localhost": false, "LOCALHOST.": false, "foo.localhost": false, "127.0.0.1": false, "10.0.0.1": false, "::1": false,
		"169.254.169.254": false, "169.254.169.254.": false, "2130706433": false, "0x7f000001": false, "127.1": false, "0251.0376.0251.0376": false, "1.0x7f": false,
		"fe80::1%eth0": false, "": false, ".": false,
	} {
		if err := (guard{}).target(host); (err == nil) != good {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func FuzzGuard(f *testing.F) {
	f.Add([]byte{169, 254, 169, 254})
	f.Add([]byte("\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00\xa9\xfe\xa9\xfe"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		strict, lax := guard{}.check(addr), guard{private: true}.check(addr)
		if strict == nil && lax != nil {
			t.Errorf("%s is refused only with privateNetwork: %v", addr, lax)
		}
		u := addr.Unmap()
		inside := u.IsLoopback() || u.IsPrivate() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified()
		if inside && strict == nil {
			t.Errorf("%s is let through", addr)
		}
		if strict != nil && strings.ContainsAny(strict.Error(), "\n\x00") {
			t.Errorf("error %q", strict)
		}
	})
}
