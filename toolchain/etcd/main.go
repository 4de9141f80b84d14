// Command etcd is the upstream server; upstream keeps its main package in a module the proxy cannot build alone.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
