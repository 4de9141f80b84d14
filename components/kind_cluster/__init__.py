"""A Kubernetes cluster of the stack's own, in containers: created by `up`, removed by `destroy`."""
