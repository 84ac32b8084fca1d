package build

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lorac/cmd/lorac/ascend"
	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
)

// LinkKernels puts the kernels of a device beside a trainer that starts here, which
// takes those that LORAC_ASCEND_KERNELS names by itself.
func LinkKernels(d *Device, trainer string) error {
	path, err := ascend.Kernels(d.Chip)
	if err != nil {
		return exit.Failedf("%w", err)
	}
	if os.Getenv("LORAC_ASCEND_KERNELS") != "" {
		return nil
	}
	place := ascend.FileName(trainer, d.Chip)
	if old, err := os.Readlink(place); err == nil && old == path {
		return nil
	}
	temp := fmt.Sprintf("%s.%d", place, os.Getpid())
	os.Remove(temp)
	if err := os.Symlink(path, temp); err != nil {
		return err
	}
	return os.Rename(temp, place)
}

// KernelsIn puts the kernels of a device into the directory of a trainer that may
// run elsewhere. Where this machine cannot compile them it writes their sources and
// returns the commands that do.
func KernelsIn(d *Device, dir, name string) (file, commands string, err error) {
	file = filepath.Join(dir, ascend.FileName(name, d.Chip))
	path, err := ascend.Kernels(d.Chip)
	var none *ascend.NoToolkit
	switch {
	case errors.As(err, &none):
		commands, err = ascend.WriteProject(filepath.Join(dir, KernelsDir), d.Chip, filepath.Join("..", ascend.FileName(name, d.Chip)))
		return file, commands, err
	case err != nil:
		return "", "", exit.Failedf("%w", err)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	return file, "", atomicfile.WriteFile(file, func(w io.Writer) error {
		_, err := w.Write(binary)
		return err
	})
}

// KernelsDir is where compile writes the sources of kernels that it cannot compile.
const KernelsDir = "kernels"
