package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
)

// startEtcd starts the one etcd that all API servers of a set share, each below a key prefix of its
// own, and returns its client URL. It listens on loopback without TLS and holds test data only.
func (s *Set) startEtcd(ctx context.Context, bin Binaries) (string, error) {
	for try := 1; ; try++ {
		client, peer, err := s.freePorts()
		if err != nil {
			return "", err
		}
		clientURL, peerURL := "http://"+client, "http://"+peer
		srv, err := s.launch(serverSpec{
			name: "etcd",
			path: bin.Servers,
			args: []string{
				"etcd",
				"--name=towpath",
				"--data-dir=" + filepath.Join(s.dir, fmt.Sprintf("etcd-%d", try)),
				"--listen-client-urls=" + clientURL,
				"--advertise-client-urls=" + clientURL,
				"--listen-peer-urls=" + peerURL,
				"--initial-advertise-peer-urls=" + peerURL,
				"--initial-cluster=towpath=" + peerURL,
				// The data is thrown away: no write needs to survive a crash.
				"--unsafe-no-fsync",
				"--log-level=warn",
			},
			log: filepath.Join(s.dir, "logs", "etcd.log"),
		})
		if err != nil {
			return "", err
		}
		probe := newClient(nil, "")
		err = until(ctx, "etcd", []*server{srv}, func(ctx context.Context) error {
			answer, err := probe.do(ctx, http.MethodGet, clientURL+"/health", nil)
			if err == nil && !bytes.Contains(answer, []byte(`"health":"true"`)) {
				err = fmt.Errorf("it answers %q", answer)
			}
			return err
		})
		probe.close()
		if err == nil {
			return clientURL, nil
		}
		if try == portTries || !srv.portTaken() {
			return "", err
		}
		s.forget(srv)
	}
}

// freePorts returns two loopback addresses whose ports were free a moment ago. Another process may
// take them before a server does, which callers answer by trying again.
func freePorts() (first, second string, err error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("find a free port: %w", err)
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("find a free port: %w", err)
	}
	defer b.Close()
	return a.Addr().String(), b.Addr().String(), nil
}
