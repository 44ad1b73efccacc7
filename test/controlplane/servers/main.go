// Command servers is etcd, kube-apiserver, kube-controller-manager and kube-scheduler in one
// binary: they share most of their packages, so one link step and one file serve for all four.
// Only the server that is asked for is constructed.
//
// It is built and run by package controlplane for tests and for `towpath demo`. It must never be
// part of the bot: that is why it has a module of its own.
//
// Usage: servers (etcd | kube-apiserver | kube-controller-manager | kube-scheduler) [flags]
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // time zones of CronJobs

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubeapiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"towpath.dev/towpath/test/controlplane/servers/lifeline"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	// The servers read os.Args themselves.
	os.Args = append([]string{name}, os.Args[2:]...)
	lifeline.Hold()
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		run(kubeapiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		run(scheduler.NewSchedulerCommand())
	default:
		usage()
	}
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: servers (etcd | kube-apiserver | kube-controller-manager | kube-scheduler) [flags]")
	os.Exit(2)
}
