package safetensors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func one(name string, value byte) []byte {
	return container(`{"`+name+`":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, string([]byte{value}))
}

func TestSetOfShards(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "model-00001-of-00002.safetensors"), one("a", 1))
	write(t, filepath.Join(dir, "model-00002-of-00002.safetensors"), container(
		`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"extra":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}`, "\x09\x02"))
	write(t, filepath.Join(dir, "model.safetensors.index.json"), []byte(
		`{"metadata":{"total_size":2},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`))
	for _, path := range []string{dir, filepath.Join(dir, "model.safetensors.index.json")} {
		s, err := OpenSet(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.Names(), " "); got != "a b extra" {
			t.Errorf("names %q", got)
		}
		for name, want := range map[string]byte{"a": 1, "b": 2} {
			if x, ok := s.Tensor(name); !ok || len(x.Data) != 1 || x.Data[0] != want {
				t.Errorf("%s is %v, want %d", name, x, want)
			}
		}
		if _, ok := s.Tensor("c"); ok {
			t.Error("a tensor that is not there is found")
		}
		if len(s.Files()) != 2 {
			t.Errorf("%d files", len(s.Files()))
		}
		s.Close()
	}
}

func TestSetOfOneFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/model.safetensors", "b/weights.safetensors"} {
		path := write(t, filepath.Join(dir, name), one("w", 7))
		for _, p := range []string{path, filepath.Dir(path)} {
			s, err := OpenSet(p)
			if err != nil {
				t.Fatal(err)
			}
			if x, ok := s.Tensor("w"); !ok || x.Data[0] != 7 {
				t.Errorf("%s: %v", p, x)
			}
			s.Close()
		}
	}
}

func TestSetRefuses(t *testing.T) {
	index := func(shard string) string { return `{"weight_map":{"w":"` + shard + `"}}` }
	for name, c := range map[string]struct {
		files map[string]string
		words string
	}{
		"nothing":        {nil, "neither"},
		"pickle":         {map[string]string{"pytorch_model.bin": ""}, "pytorch_model.bin"},
		"several":        {map[string]string{"x.safetensors": "", "y.safetensors": ""}, "x.safetensors, y.safetensors"},
		"adapter":        {map[string]string{"adapter_model.safetensors": ""}, "--load_adapter"},
		"no weight_map":  {map[string]string{indexName: `{}`}, "weight_map"},
		"no JSON":        {map[string]string{indexName: `{"weight_map":`}, indexName},
		"wrong type":     {map[string]string{indexName: `{"weight_map":{"w":1}}`}, indexName},
		"missing shard":  {map[string]string{indexName: index("gone.safetensors")}, "gone.safetensors is missing"},
		"missing tensor": {map[string]string{indexName: index("s.safetensors"), "s.safetensors": string(one("v", 1))}, `"w" is not in s.safetensors`},
		"escape":         {map[string]string{indexName: index("../s.safetensors"), "../s.safetensors": string(one("w", 1))}, "outside"},
		"absolute":       {map[string]string{indexName: index("/etc/passwd")}, "outside"},
		"hidden escape":  {map[string]string{indexName: index("a/../../s.safetensors"), "../s.safetensors": string(one("w", 1))}, "outside"},
		"bad shard":      {map[string]string{indexName: index("s.safetensors"), "s.safetensors": "123456789"}, "s.safetensors"},
		"empty shard":    {map[string]string{indexName: index("")}, "outside"},
	} {
		dir := filepath.Join(t.TempDir(), "model")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, content := range c.files {
			write(t, filepath.Join(dir, file), []byte(content))
		}
		s, err := OpenSet(dir)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.words)
		}
	}
	if _, err := OpenSet(filepath.Join(t.TempDir(), "missing")); !os.IsNotExist(err) {
		t.Error("missing path:", err)
	}
}
