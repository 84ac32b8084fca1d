package codegen_test

import (
	"os"
	"testing"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
)

func TestTry(t *testing.T) {
	cfg, list := config.Load(os.Getenv("CFG"), nil)
	if cfg == nil {
		t.Fatal(list)
	}
	r, err := compiler.Compile(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := codegen.Emit(r.Module)
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll("/tmp/emit", 0o777)
	os.WriteFile("/tmp/emit/module.ir", []byte(r.Module.String()), 0o666)
	for n, b := range files {
		os.WriteFile("/tmp/emit/"+n, b, 0o666)
	}
}
