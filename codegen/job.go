package codegen

import (
	"strings"

	"lorac/ir"
	rt "lorac/runtime"
	"lorac/runtime/job"
)

// Job is the job of a module as its trainer will have it.
func Job(m *ir.Module) (*rt.Job, error) {
	j, err := job.Decode(jobSettings(m))
	if err != nil {
		return nil, err
	}
	j.Name, j.Source, j.Hash, j.MaxRows = m.Name, m.Source, Identity(m), m.MaxEnv()["T"]
	return j, nil
}

// jobSettings are the settings of a module that are keys of the job; others are
// the compiler's own.
func jobSettings(m *ir.Module) (out []job.Setting) {
	for _, s := range m.Settings {
		if !strings.HasPrefix(s.Key, "ir.") && !strings.HasPrefix(s.Key, "size.") && s.Key != "hash" {
			out = append(out, job.Setting{Key: s.Key, Value: s.Val})
		}
	}
	return out
}
