package rpc

import "context"

type peerKey struct{}

// WithPeer attaches the service identity that a transport verified of the caller: the name in its certificate. A request's body
// never names one.
func WithPeer(ctx context.Context, identity string) context.Context {
	return context.WithValue(ctx, peerKey{}, identity)
}

// Peer gives the attached identity, "" for a caller in the same process.
func Peer(ctx context.Context) string {
	p, _ := ctx.Value(peerKey{}).(string)
	return p
}
