package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// wire is the network between usher and one server.
type wire struct{ proxy *toxiproxy.Proxy }

// newWires makes a proxy per server, each listening on loopback.
func newWires(ends map[string][2]string) (map[string]*wire, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	wires := make(map[string]*wire)
	for name, end := range ends {
		w := &wire{proxy: toxiproxy.NewProxy(server, name, end[0], end[1])}
		if err := w.proxy.Start(); err != nil {
			return nil, fmt.Errorf("cannot listen for the proxy of %s: %w", name, err)
		}
		wires[name] = w
	}
	return wires, nil
}

// cut refuses new connections and ends the present ones.
func (w *wire) cut() { w.proxy.Stop() }

// poison adds a toxic: kind and attribute as toxiproxy names them, of one direction.
func (w *wire) poison(kind, direction, attribute string, value int) error {
	toxic := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%q:%d}}`,
		kind, direction, attribute, value)
	if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		return fmt.Errorf("cannot add the toxic %s: %w", kind, err)
	}
	return nil
}

// heal undoes whatever was done to the wire.
func (w *wire) heal() error {
	w.proxy.Toxics.ResetToxics(context.Background())
	if err := w.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		return fmt.Errorf("cannot heal the network: %w", err)
	}
	return nil
}

// Ports are taken below the range that systems give to outgoing connections: a server that is down
// for a while must find its port free.
const portFirst, portCount, portTries = 20000, 12000, 200

// freePorts finds n ports of loopback that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range portTries {
		if len(ports) == n {
			return ports, nil
		}
		ln, err := net.Listen("tcp", loopback(portFirst+rand.IntN(portCount)))
		if err != nil {
			continue
		}
		defer ln.Close() // all at once, so that they differ
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return nil, fmt.Errorf("cannot find %d free ports from %d on", n, portFirst)
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
