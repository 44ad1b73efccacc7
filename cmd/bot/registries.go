package main

import (
	"fmt"
	"net/netip"
	"strings"

	"towpath.dev/towpath/internal/registry"
)

// hostsFile is the flag that names a file of kind Registries; it is read when
// the flag is.
type hostsFile struct {
	path  string
	hosts []registry.Host
}

// Set implements pflag.Value.
func (h *hostsFile) Set(path string) error {
	hosts, err := registry.LoadHosts(path)
	if err != nil {
		return err
	}
	h.path, h.hosts = path, hosts
	return nil
}

// String implements pflag.Value.
func (h *hostsFile) String() string { return h.path }

// Type implements pflag.Value.
func (h *hostsFile) Type() string { return "file" }

// hostNames is a flag of registries, as image names write them, that may be
// repeated.
type hostNames []string

// Set implements pflag.Value.
func (h *hostNames) Set(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if err := registry.CheckHost(name); err != nil {
			return err
		}
		*h = append(*h, name)
	}
	return nil
}

// String implements pflag.Value.
func (h *hostNames) String() string { return strings.Join(*h, ",") }

// Type implements pflag.Value.
func (h *hostNames) Type() string { return "strings" }

// networks is a flag of CIDRs that may be repeated.
type networks []netip.Prefix

// Set implements pflag.Value.
func (n *networks) Set(list string) error {
	for s := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("%q is no network such as 10.0.0.0/8 or 10.1.2.3/32", s)
		}
		*n = append(*n, p.Masked())
	}
	return nil
}

// String implements pflag.Value.
func (n *networks) String() string {
	if n == nil {
		return ""
	}
	var all []string
	for _, p := range *n {
		all = append(all, p.String())
	}
	return strings.Join(all, ",")
}

// Type implements pflag.Value.
func (n *networks) Type() string { return "cidr" }
