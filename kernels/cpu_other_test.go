//go:build !amd64

package kernels

func setCPU(a512, a2 bool) {}
