package vm

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
)

// File is a file of the guest's root. Its folder must stand before it.
type File struct {
	Name string
	Mode uint32 // with the type: Folder, Executable or Private
	Data []byte
}

// Modes of files.
const (
	Folder     = 0o040755
	Executable = 0o100755
	Private    = 0o100600
)

// Initramfs packs files as the kernel wants them: a gzipped cpio archive in the "newc" format.
func Initramfs(files []File) ([]byte, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	for i, f := range append(files, File{Name: "TRAILER!!!"}) {
		if _, err := z.Write(cpio(f, i+1)); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return packed.Bytes(), err
}

// cpio is one member: a header of 110 hexadecimal characters, the name and the data, each padded to four bytes.
func cpio(f File, inode int) []byte {
	const owner, links, zero = 0, 1, 0
	b := fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, f.Mode, owner, owner, links, zero,
		len(f.Data), zero, zero, zero, zero, len(f.Name)+1, zero)
	b = pad(append(append(b, f.Name...), 0))
	return pad(append(b, f.Data...))
}

func pad(b []byte) []byte {
	return append(b, make([]byte, -len(b)&3)...)
}

// FromDisk is a file of the host.
func FromDisk(name, path string) (File, error) {
	data, err := os.ReadFile(path)
	return File{Name: name, Mode: Executable, Data: data}, err
}
