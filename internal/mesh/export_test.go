package mesh

import (
	"net/http"
	"time"

	"github.com/cordon-ehr/cordon/internal/rpc"
)

// Sign gives the header with which the link would pass a request on.
func (l *Link) Sign(a rpc.Assertion, r *http.Request) (header, value string) {
	to := l.remote
	if to == nil {
		return assertionHeader, l.signer.sign(a, audience(l.server.self), r)
	}
	return assertionHeader, l.signer.sign(a, audience(to.target), r)
}

// SignFor gives a header for another callee than the link's.
func (l *Link) SignFor(to Identity, a rpc.Assertion, r *http.Request) string {
	return l.signer.sign(a, audience(to), r)
}

// SignLate gives a header whose time is over.
func (l *Link) SignLate(a rpc.Assertion, r *http.Request) string {
	return l.signer.signUntil(time.Now().Add(-2*time.Second), a, audience(l.remote.target), r)
}

// SendRaw sends a request over a connection of the link as it is.
func (l *Link) SendRaw(r *http.Request) (*http.Response, error) { return l.remote.RoundTrip(r) }

// ForwardHeader names the method of a forwarded request.
const ForwardHeader = forwardHeader
