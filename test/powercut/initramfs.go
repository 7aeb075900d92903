package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
)

// file is a file of the guest's root. Its folder must stand before it.
type file struct {
	name string
	mode uint32 // with the type: regular and folder are made here
	data []byte
}

const (
	folder     = 0o040755
	executable = 0o100755
	private    = 0o100600
)

// initramfs packs files as the kernel wants them: a gzipped cpio archive in the "newc" format.
func initramfs(files []file) ([]byte, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	for i, f := range append(files, file{name: "TRAILER!!!"}) {
		if _, err := z.Write(cpio(f, i+1)); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return packed.Bytes(), err
}

// cpio is one member: a header of 110 hexadecimal characters, the name and the data, each padded to four bytes.
func cpio(f file, inode int) []byte {
	const owner, links, zero = 0, 1, 0
	b := fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, f.mode, owner, owner, links, zero,
		len(f.data), zero, zero, zero, zero, len(f.name)+1, zero)
	b = pad(append(append(b, f.name...), 0))
	return pad(append(b, f.data...))
}

func pad(b []byte) []byte {
	return append(b, make([]byte, -len(b)&3)...)
}

// fromDisk is a file of the host.
func fromDisk(name, path string) (file, error) {
	data, err := os.ReadFile(path)
	return file{name: name, mode: executable, data: data}, err
}
