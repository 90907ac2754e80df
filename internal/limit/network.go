package limit

import "net/netip"

// Network is what tells one caller from another by the address: an IPv4 address, or the /64 of an IPv6 address, of which whoever has
// one has all (RFC 6177). What is no address is given back.
func Network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64) // of 128 bits
	return p.String()
}
