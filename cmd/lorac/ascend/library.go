// Package ascend finds out what an Ascend NPU needs on this machine: the library of
// its runtime, the device itself, which a small program asks, and binaries of the
// kernels, which a CANN toolkit compiles. It knows nothing of configs or the IR.
package ascend

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

const library = "libascendcl.so"

// Library is the file of Ascend's runtime as a trainer would load it: the one that
// LORAC_ACL names, else where the system's loader looks, else that of the toolkit.
// "" if there is none, with the reason.
func Library() (path, why string) {
	if path := os.Getenv("LORAC_ACL"); path != "" {
		if isFile(path) {
			return path, ""
		}
		return "", "LORAC_ACL names " + path + ", which is no file"
	}
	for _, dir := range libraryDirs() {
		if path := filepath.Join(dir, library); isFile(path) {
			return path, ""
		}
	}
	if path := inLoaderCache(); path != "" {
		return path, ""
	}
	why = "the runtime " + library + " is not installed"
	for _, pattern := range installed {
		if list, _ := filepath.Glob(pattern); len(list) > 0 {
			why = "the runtime " + library + " is not found, and set_env.sh was not sourced: source " + list[0]
			break
		}
	}
	return "", why
}

// libraryDirs are the directories of the loader and of the toolkit.
func libraryDirs() []string {
	dirs := filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))
	dirs = append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
	for _, home := range homes() {
		dirs = append(dirs, filepath.Join(home, "lib64"))
	}
	return dirs
}

// homes are where the environment says that the toolkit is.
func homes() (list []string) {
	for _, name := range []string{"ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"} {
		if dir := os.Getenv(name); dir != "" {
			list = append(list, dir)
		}
	}
	return list
}

// installed is where toolkits are installed by default.
var installed = []string{"/usr/local/Ascend/cann/set_env.sh", "/usr/local/Ascend/ascend-toolkit/set_env.sh"}

// loaderCache is the loader's list of libraries (ldconfig(8)), paths between zeros.
var loaderCache = "/etc/ld.so.cache"

func inLoaderCache() string {
	text, err := os.ReadFile(loaderCache)
	if err != nil {
		return ""
	}
	end := bytes.Index(text, []byte("/"+library+"\x00"))
	if end < 0 {
		return ""
	}
	path := string(text[bytes.LastIndexByte(text[:end], 0)+1:end]) + "/" + library
	if !strings.HasPrefix(path, "/") || !isFile(path) {
		return ""
	}
	return path
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
