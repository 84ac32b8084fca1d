package weights

import (
	"fmt"
	"os"
	"path/filepath"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

// openMindFormers opens a directory in which MindFormers keeps safetensors: with
// param_name_map.json, of Checkpoint 2.0, or several containers that it loads as
// one set, such as base and adapter. It is nil for any other directory.
func openMindFormers(dir string) (Set, error) {
	if atomicfile.Incomplete(dir) {
		return nil, fmt.Errorf("%s is incomplete: the command that wrote it was killed; repeat that command", dir)
	}
	d, err := mindspore.FindDirectory(dir)
	switch {
	case err != nil:
		return nil, err
	case d != nil && d.Sliced():
		t, err := OpenTree(dir, "", "")
		if err != nil {
			return nil, err
		}
		return t, nil
	case d != nil:
		f, err := d.Open()
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	if files := mindsporeContainers(dir); len(files) > 1 {
		return openUnion(files)
	}
	return nil, nil
}

// mindsporeContainers lists the safetensors files of a directory if MindSpore wrote
// all of them; nil if one is another program's, or the directory is Hugging Face's.
func mindsporeContainers(dir string) []string {
	files, _ := filepath.Glob(filepath.Join(dir, "*"+mindspore.Suffix))
	for _, name := range []string{"model.safetensors", "model.safetensors.index.json", "adapter_config.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	for _, path := range files {
		f, err := safetensors.Open(path)
		if err != nil {
			return nil
		}
		theirs := f.Metadata["format"] == "ms"
		for _, name := range f.Names() {
			_, state := naming.StateOf(name)
			theirs = theirs || state || naming.HF(name) != "" && naming.MindFormers(name) == ""
		}
		f.Close()
		if !theirs {
			return nil
		}
	}
	return files
}
