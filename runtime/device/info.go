package device

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"unsafe"
)

// Info is what a device and its runtime say of themselves; 0 and "" are unknown.
type Info struct {
	SoC     string `json:"soc"`      // Ascend910B3
	Cubes   int    `json:"cubes"`    // cube cores
	Vectors int    `json:"vectors"`  // vector cores
	FreeHBM int    `json:"free_hbm"` // bytes of device memory when it was opened
	HBM     int    `json:"hbm"`
	CANN    string `json:"cann"` // version
	Devices int    `json:"devices"`
	Library string `json:"library"` // the file that ACL was loaded from
}

// Unfit is why no kernels are loaded on such a device: they are compiled for
// architecture 2201. It is nil where they are.
func (i Info) Unfit() error {
	if strings.HasPrefix(i.SoC, "Ascend910B") || strings.HasPrefix(i.SoC, "Ascend910_93") {
		return nil
	}
	return fmt.Errorf("the Ascend device is an %s; the kernels are for Atlas A2 and A3 (Ascend910B and Ascend910_93)\n  = help: run with --device cpu", cmp.Or(i.SoC, "unknown chip"))
}

// Probe opens a device, without kernels, to say what it is.
func Probe(id int) (Info, error) {
	d, err := open(id)
	if err != nil {
		return Info{}, err
	}
	return d.Info, d.Close()
}

// Attributes of aclrtGetDeviceInfo, and of the older aclGetDeviceCapability.
const (
	attrCubes, attrVectors = 102, 201
	capCubes, capVectors   = 0, 1
)

// read asks the device what it is.
func (d *Device) read(devices int) {
	d.Info = Info{SoC: aclrtGetSocName(), Devices: devices, CANN: cannVersion(), Library: loaded}
	d.FreeHBM, d.HBM = memory()
	d.Cubes, d.Vectors = d.cores(attrCubes, capCubes), d.cores(attrVectors, capVectors)
	if cubes, vectors := coresOf(d.SoC); d.Cubes <= 0 || d.Vectors <= 0 {
		d.Cubes, d.Vectors = cubes, vectors
	}
}

// cores is a number of cores, 0 where neither call knows it.
func (d *Device) cores(attr, capability int32) int {
	var v int64
	if aclrtGetDeviceInfo != nil && aclrtGetDeviceInfo(uint32(d.id), attr, &v) == 0 && v > 0 {
		return int(v)
	}
	if aclGetDeviceCapability != nil && aclGetDeviceCapability(uint32(d.id), capability, &v) == 0 && v > 0 {
		return int(v)
	}
	return 0
}

// coresOf are the cube and vector cores of a chip by its name, for a CANN that
// does not count them.
func coresOf(soc string) (cubes, vectors int) {
	for _, c := range []struct {
		name  string
		cubes int
	}{{"Ascend910B1", 24}, {"Ascend910B2", 24}, {"Ascend910B3", 20}, {"Ascend910B4", 20}, {"Ascend910_939", 24}, {"Ascend910_938", 24}, {"Ascend910_937", 20}, {"Ascend910_936", 20}} {
		if strings.HasPrefix(soc, c.name) {
			return c.cubes, 2 * c.cubes
		}
	}
	return 0, 0
}

// memory is the free and the total bytes of device memory (HBM), 0 where ACL does not say.
func memory() (free, total int) {
	const hbm = 1
	var f, t uintptr
	if aclrtGetMemInfo == nil || aclrtGetMemInfo(hbm, &f, &t) != 0 {
		return 0, 0
	}
	return int(f), int(t)
}

// cannVersion is the version of CANN, "" where ACL does not say.
func cannVersion() string {
	const cann = 0
	var v [1024]byte // aclCANNPackageVersion, with room to spare; it begins with the version as text
	if aclsysGetCANNVersion == nil || aclsysGetCANNVersion(cann, unsafe.Pointer(&v)) != 0 {
		return ""
	}
	text, _, _ := bytes.Cut(v[:128], []byte{0})
	return string(text)
}
