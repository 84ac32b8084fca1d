package codegen

import (
	"io/fs"
	"reflect"
	"regexp"
	"testing"

	rt "lorac/runtime"
	"lorac/runtime/job"
)

// A program writes its job in the names of the package that rt is, whichever that is:
// each of them has every struct that a job is made of.
func TestStructsOfJob(t *testing.T) {
	for file, src := range map[string]fs.FS{"doc.go": rt.Sources, "ascend/doc.go": rt.DeviceSources, "mesh/doc.go": rt.MeshSources} {
		text, err := fs.ReadFile(src, file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range reflect.TypeFor[job.Job]().NumField() {
			f := reflect.TypeFor[job.Job]().Field(i).Type
			if f.Kind() == reflect.Struct && !regexp.MustCompile(`(?m)^\t`+f.Name()+` += `).Match(text) {
				t.Errorf("%s has no %s", file, f.Name())
			}
		}
	}
}
