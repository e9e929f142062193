package outbound

import "net/netip"

// This file says which addresses are internal: all that the public internet does not route.

// special are the ranges that netip does not name, from the IANA registries of
// special-purpose addresses.
var special = prefixes(
	"0.0.0.0/8",       // this network
	"100.64.0.0/10",   // carrier-grade NAT, also clouds' own services
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // former 6to4 relays
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"240.0.0.0/4",     // reserved, and the broadcast address
	"64:ff9b:1::/48",  // NAT64 of a local network
	"100::/64",        // discard
	"2001::/23",       // protocol assignments, Teredo among them
	"2001:db8::/32",   // documentation
	"3fff::/20",       // documentation
	"5f00::/16",       // segment routing
	"fec0::/10",       // former site-local
)

// unicast is all of IPv6 that the public internet routes; what is left of it above is special,
// and outside of it only carriers are.
var unicast = netip.MustParsePrefix("2000::/3")

// carriers hold an IPv4 address in an IPv6 one; at tells where its four bytes stand.
var carriers = []struct {
	in netip.Prefix
	at int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible, out of use
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// internal reports whether an address must not be called on somebody's wish. The address
// has no zone and is no IPv4 address in IPv6 clothes (Unmap).
func internal(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsPrivate() || a.IsMulticast() ||
		a.IsLinkLocalUnicast() || a.IsInterfaceLocalMulticast() {
		return true
	}
	for _, p := range special {
		if p.Contains(a) {
			return true
		}
	}
	for _, c := range carriers {
		if c.in.Contains(a) {
			b := a.As16()
			return internal(netip.AddrFrom4([4]byte(b[c.at : c.at+4])))
		}
	}
	return a.Is6() && !unicast.Contains(a)
}
