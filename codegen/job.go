package codegen

import (
	"strings"

	"lorac/ir"
	rt "lorac/runtime"
	"lorac/runtime/job"
)

// Job is the job of a module as its trainer will have it.
func Job(m *ir.Module) (*rt.Job, error) {
	list := jobSettings(m)
	j, err := job.Decode(list)
	if err != nil {
		for _, s := range m.Settings { // which one it is
			for _, key := range list {
				if _, wrong := job.Decode([]job.Setting{key}); key.Key == s.Key && wrong != nil {
					return nil, formless(m, s.Line, "%v", wrong)
				}
			}
		}
		return nil, err
	}
	j.Name, j.Source, j.Hash, j.MaxRows = m.Name, m.Source, m.Identity(), m.MaxEnv()["T"]
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
