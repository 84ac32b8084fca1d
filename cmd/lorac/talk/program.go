package talk

import (
	"embed"
	"encoding/json"
	"io/fs"

	"lorac/cmd/lorac/program"
	"lorac/cmd/lorac/talk/model"
	rt "lorac/runtime"
)

// own are the packages below this one that lorac-serve is built of.
//
//go:embed module.mod lorac-serve model serve
var own embed.FS

// shared are those of the runtime.
var shared = []string{"exit", "sys/human", "sys/signals", "wire"}

// here is the directory of this package in the module.
const here = "cmd/lorac/talk/"

// server answers over HTTP.
var server = program.Program{Name: "lorac-serve", Protocol: model.Protocol, Needs: "lorac serve", Sources: files, Main: here + "lorac-serve"}

// files are a module with the packages of lorac-serve alone, under the paths that they
// have in this one.
func files() map[string][]byte {
	out := map[string][]byte{}
	add := func(at string, tree fs.FS, dir string) {
		sub, err := fs.Sub(tree, dir)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		for name, text := range program.Files(sub) {
			out[at+name] = text
		}
	}
	for _, dir := range []string{"lorac-serve", "model", "serve"} {
		add(here+dir+"/", own, dir)
	}
	for _, dir := range shared {
		add("runtime/"+dir+"/", rt.Sources, dir)
	}
	mod, err := own.ReadFile("module.mod")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	out["go.mod"] = mod
	return out
}

// Server is the command line that serves a model, by a program that is built where it
// is not found.
func Server(s model.Server, bin string, args []string) (path string, all []string, err error) {
	if path, err = server.Find(); err != nil {
		return "", nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic("BUG: talk: settings that are no JSON: " + err.Error())
	}
	return path, append([]string{model.Protocol, string(text), bin}, args...), nil
}
