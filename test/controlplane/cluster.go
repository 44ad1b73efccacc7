package controlplane

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// nodeName is the one node of each control plane.
const nodeName = "node-1"

// controllers are those that the kinds Towpath deploys and checks need. Each further one costs start
// time and memory in every control plane.
const controllers = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller," +
	"job-controller,cronjob-controller,ttl-after-finished-controller,namespace-controller," +
	"garbage-collector-controller,endpoints-controller,endpointslice-controller,serviceaccount-controller," +
	"clusterrole-aggregation-controller"

// disabledAdmission are the plugins that wait for what is not there: tokens of service accounts
// (ServiceAccount), the node lifecycle controller (TaintNodesByCondition), and the controllers of
// volumes and quotas.
const disabledAdmission = "ServiceAccount,TaintNodesByCondition,StorageObjectInUseProtection,ResourceQuota"

// cluster is one control plane of a set.
type cluster struct {
	name    string
	set     *Set
	bin     Binaries
	pki     *pki
	stages  string // file with the stages that kwok plays
	etcdURL string

	url        string // of the API server
	kubeconfig string
	client     *client
}

func (c *cluster) start(ctx context.Context) error {
	begin := time.Now()
	c.client = newClient(c.pki.pool, c.pki.token)
	defer c.client.close()
	if err := os.Mkdir(filepath.Join(c.set.dir, c.name), 0o700); err != nil {
		return fmt.Errorf("start control plane %s: %w", c.name, err)
	}
	api, err := c.startAPIServer(ctx)
	if err != nil {
		return err
	}
	if err := c.writeKubeconfig(); err != nil {
		return err
	}
	manager, err := c.launch("kube-controller-manager", c.bin.Servers,
		"kube-controller-manager",
		"--kubeconfig="+c.kubeconfig,
		"--controllers="+controllers,
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	)
	if err != nil {
		return err
	}
	scheduler, err := c.launch("kube-scheduler", c.bin.Servers,
		"kube-scheduler",
		"--kubeconfig="+c.kubeconfig,
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	)
	if err != nil {
		return err
	}
	kwok, err := c.launch("kwok", c.bin.Kwok,
		"--kubeconfig="+c.kubeconfig,
		"--config="+c.stages,
		"--manage-all-nodes=true",
		"--node-lease-duration-seconds=0",
	)
	if err != nil {
		return err
	}
	if err := c.waitObjects(ctx, []*server{api, scheduler, manager}, kwok); err != nil {
		return err
	}
	c.set.progress.printf("  %s is ready after %s", c.name, time.Since(begin).Round(100*time.Millisecond))
	return nil
}

// launch starts one of the servers that are clients of this API server.
func (c *cluster) launch(server, path string, args ...string) (*server, error) {
	return c.set.launch(serverSpec{
		name: server + " of " + c.name,
		path: path,
		args: args,
		// kwok reads its working folder for a person's own settings, which must not count here.
		env: []string{"KWOK_WORKDIR=" + filepath.Join(c.set.dir, c.name)},
		dir: filepath.Join(c.set.dir, c.name),
		log: filepath.Join(c.set.dir, "logs", c.name+"-"+server+".log"),
	})
}

// startAPIServer returns once the API server answers /readyz.
func (c *cluster) startAPIServer(ctx context.Context) (*server, error) {
	for try := 1; ; try++ {
		addr, _, err := c.set.freePorts()
		if err != nil {
			return nil, err
		}
		srv, err := c.launch("kube-apiserver", c.bin.Servers, c.apiServerArgs(addr)...)
		if err != nil {
			return nil, err
		}
		c.url = "https://" + addr
		err = until(ctx, "the API server of "+c.name, []*server{srv}, func(ctx context.Context) error {
			_, err := c.client.do(ctx, http.MethodGet, c.url+"/readyz", nil)
			return err
		})
		if err == nil {
			return srv, nil
		}
		if try == portTries || !srv.portTaken() {
			return nil, err
		}
		c.set.forget(srv)
	}
}

func (c *cluster) apiServerArgs(addr string) []string {
	return []string{
		"kube-apiserver",
		"--etcd-servers=" + c.etcdURL,
		"--etcd-prefix=/" + c.name,
		"--bind-address=127.0.0.1",
		"--secure-port=" + addr[strings.LastIndex(addr, ":")+1:],
		// Nobody reaches the API server through the service "kubernetes", and a loopback address
		// could not be its endpoint.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + c.pki.certFile,
		"--tls-private-key-file=" + c.pki.keyFile,
		"--token-auth-file=" + c.pki.tokenFile,
		"--anonymous-auth=false",
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.serviceAccountKeyFile,
		"--service-account-signing-key-file=" + c.pki.serviceAccountKeyFile,
		"--service-cluster-ip-range=10.0.0.0/16",
		"--disable-admission-plugins=" + disabledAdmission,
		"--enable-priority-and-fairness=false",
		"--profiling=false",
	}
}

// writeKubeconfig writes the administrator's kubeconfig.
func (c *cluster) writeKubeconfig() error {
	c.kubeconfig = filepath.Join(c.set.dir, c.name, "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[1]s-admin
users:
- name: %[1]s-admin
  user:
    token: %[4]s
`, c.name, c.url, base64.StdEncoding.EncodeToString(c.pki.caPEM), c.pki.token)
	if err := os.WriteFile(c.kubeconfig, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the kubeconfig of %s: %w", c.name, err)
	}
	return nil
}

// waitObjects makes the node and waits for it and for what the controllers make at first.
func (c *cluster) waitObjects(ctx context.Context, servers []*server, kwok *server) error {
	node, err := json.Marshal(map[string]any{
		"apiVersion": "v1",
		"kind":       "Node",
		"metadata": map[string]any{
			"name":        nodeName,
			"annotations": map[string]string{"kwok.x-k8s.io/node": "fake"},
			"labels": map[string]string{
				"kubernetes.io/hostname": nodeName,
				"kubernetes.io/os":       "linux",
				"kubernetes.io/arch":     "amd64",
			},
		},
	})
	if err != nil {
		return err
	}
	err = until(ctx, "the first objects of "+c.name, servers, func(ctx context.Context) error {
		_, err := c.client.do(ctx, http.MethodPost, c.url+"/api/v1/nodes", node)
		if status := (*statusError)(nil); errors.As(err, &status) && status.code == http.StatusConflict {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	err = until(ctx, "the default service account of "+c.name, servers, func(ctx context.Context) error {
		_, err := c.client.do(ctx, http.MethodGet, c.url+"/api/v1/namespaces/default/serviceaccounts/default", nil)
		return err
	})
	if err != nil {
		return err
	}
	return until(ctx, "the node of "+c.name, append(servers, kwok), c.nodeReady)
}

func (c *cluster) nodeReady(ctx context.Context) error {
	raw, err := c.client.do(ctx, http.MethodGet, c.url+"/api/v1/nodes/"+nodeName, nil)
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if err := json.Unmarshal(raw, &node); err != nil {
		return err
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == "Ready" && cond.Status == "True" {
			return nil
		}
	}
	return errors.New("the node is not Ready")
}
