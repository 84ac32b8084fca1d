package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/sys/mmap"
)

// SlowPaths lists what a job of this config would use and this machine lacks; nothing
// where a card computes. The weights are those of the target, where it names some.
func SlowPaths(c *config.Config, d *Device, t *Target) []rt.Slow {
	if c == nil || d != nil && d.Card != nil {
		return nil
	}
	j := &rt.Job{Compute: c.Compute.V}
	j.Quant.Kind = c.Quant.V
	threads := t.Threads
	if threads == 0 {
		threads = DefaultThreads()
	}
	k := kernels.New(min(threads, DefaultThreads()))
	defer k.Close()
	list := rt.SlowPaths(j, threads, k)
	path := t.Weights
	if path == "" {
		path = c.LoadCheckpoint.V
	}
	if file := anyFile(path); file != "" && !mmap.Can(file) {
		list = append(list, rt.NotMapped(file, 0))
	}
	return list
}

// anyFile is a file of weights: the path itself, or the first in the directory.
func anyFile(path string) string {
	info, err := os.Stat(path)
	if path == "" || err != nil {
		return ""
	}
	if !info.IsDir() {
		return path
	}
	list, _ := filepath.Glob(filepath.Join(path, "*"))
	i := slices.IndexFunc(list, func(name string) bool {
		return slices.Contains([]string{".safetensors", ".ckpt", ".gguf", ".bin", ".pth", ".pt"}, strings.ToLower(filepath.Ext(name)))
	})
	if i < 0 {
		return ""
	}
	return list[i]
}

// RefuseSlow is the error of a run here that goes a way which is of no use, unless the
// trainer's flags allow it.
func RefuseSlow(list []rt.Slow, args []string) error {
	allowed := false
	for i, a := range args {
		allowed = allowed || a == "--allow_slow" && i+1 < len(args) && strings.EqualFold(args[i+1], "true")
	}
	for _, s := range list {
		if err := s.Refuse(allowed); err != nil {
			return err
		}
	}
	return nil
}

// CheckCPU refuses a choice of instructions that cannot be followed here.
func CheckCPU() error { return rt.CheckCPU() }
