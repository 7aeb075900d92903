package gpiochip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Chips are the chips below dev, normally "/dev", in the order of their numbers. Those that may not be opened are missing; then the error says why, and names the
// group to join. Both may be given.
func Chips(dev string) (chips []ChipInfo, err error) {
	paths, err := filepath.Glob(filepath.Join(dev, "gpiochip*"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(paths, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	var errs []error
	for _, path := range paths {
		c, err := chip(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i := slices.IndexFunc(chips, func(other ChipInfo) bool { return other.Name == c.Name })
		switch {
		case i < 0:
			chips = append(chips, c)
		case filepath.Base(path) == c.Name: // the other was a link to this one
			chips[i].Path = path
		}
	}
	return chips, errors.Join(errs...)
}

func chip(path string) (c ChipInfo, err error) {
	f, err := open(path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var info chipInfo
	if err := ioctl(f.Fd(), getChipInfo, unsafe.Pointer(&info)); err != nil {
		return c, fmt.Errorf("%s is no GPIO chip: %w", path, err)
	}
	return ChipInfo{Path: path, Name: text(info.name), Label: text(info.label), Lines: int(info.lines)}, nil
}

// open opens a chip's device. Its error names the group to join, where that is the reason.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %s", err, groupHint(path))
	}
	return f, err
}

// groupHint says how to get at a device file.
func groupHint(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "run the gateway as a user that may"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == 0 || info.Mode().Perm()&0o060 != 0o060 {
		return "the file is root's alone: give it to a group by a udev rule, such as SUBSYSTEM==\"gpio\", GROUP=\"gpio\", MODE=\"0660\""
	}
	name := strconv.Itoa(int(stat.Gid))
	if g, err := user.LookupGroupId(name); err == nil {
		name = g.Name
	}
	return fmt.Sprintf("the gateway's user must be in the group %q, such as by: usermod -aG %s gateway", name, name)
}

// Lines are the lines of the chip at path, in their order.
func Lines(path string) (lines []LineInfo, err error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var info chipInfo
	if err := ioctl(f.Fd(), getChipInfo, unsafe.Pointer(&info)); err != nil {
		return nil, fmt.Errorf("%s is no GPIO chip: %w", path, err)
	}
	for offset := range info.lines {
		k := lineInfo{offset: offset}
		if err := ioctl(f.Fd(), getLineInfo, unsafe.Pointer(&k)); err != nil {
			return lines, fmt.Errorf("line %d of %s: %w", offset, path, err)
		}
		lines = append(lines, LineInfo{
			Offset: int(offset), Name: text(k.name), Consumer: text(k.consumer),
			Used: k.flags&flagUsed != 0, Output: k.flags&flagOutput != 0, ActiveLow: k.flags&flagActiveLow != 0, Pull: pullOf(k.flags),
		})
	}
	return lines, nil
}

// Find finds a line below dev. pin is its name or its number; chip is the label, name or path of its chip, or "": then the only chip that has a line of that
// name, or for a number the board's own (its label begins with "pinctrl-") or the only one. On a Raspberry Pi "GPIO2" is that pin of the header also where
// the kernel has another name for it, such as SDA1. The error wraps ErrNotFound where there is none, and says what there is.
func Find(dev, chip, pin string) (ChipInfo, LineInfo, error) {
	chips, failed := Chips(dev)
	return find(chips, failed, ownName(dev, chip), pin, Lines)
}

// ownName follows a link to a chip, such as the gpiochip4 of a Raspberry Pi 5, to the name that the kernel gave it. What is no link stays.
func ownName(dev, chip string) string {
	path := chip
	if !filepath.IsAbs(chip) {
		path = filepath.Join(dev, chip)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return chip
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return chip
	}
	return filepath.Base(target)
}

// header are the labels of the chips behind the 40 pins of a Raspberry Pi: the line of GPIO2 has the number 2 there, whatever its name.
func header() []string { return []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"} }

// headerNumber is the number of the line of a pin of the header, -1 if pin is not the name of one.
func headerNumber(pin string) int {
	digits, ok := strings.CutPrefix(pin, "GPIO")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || strconv.Itoa(n) != digits {
		return -1
	}
	return n
}

// found is a line with its chip.
type found struct {
	chip ChipInfo
	line LineInfo
}

func find(chips []ChipInfo, failed error, chip, pin string, lines func(path string) ([]LineInfo, error)) (ChipInfo, LineInfo, error) {
	among := chips
	if chip != "" {
		among = slices.DeleteFunc(slices.Clone(chips), func(c ChipInfo) bool { return chip != c.Label && chip != c.Name && chip != c.Path })
	}
	number, err := strconv.Atoi(pin)
	if isNumber := err == nil; isNumber && chip == "" && len(among) > 1 {
		among = slices.DeleteFunc(slices.Clone(among), func(c ChipInfo) bool { return !strings.HasPrefix(c.Label, "pinctrl-") })
	} else if !isNumber {
		number = -1
	}
	var matches, pins []found
	for _, c := range among {
		all, err := lines(c.Path)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, l := range all {
			if l.Name == pin || l.Offset == number {
				matches = append(matches, found{c, l})
			}
			if l.Offset == headerNumber(pin) && slices.Contains(header(), c.Label) {
				pins = append(pins, found{c, l})
			}
		}
	}
	if len(matches) == 0 {
		matches = pins
	}
	switch len(matches) {
	case 1:
		return matches[0].chip, matches[0].line, nil
	case 0:
		return ChipInfo{}, LineInfo{}, notFound(chips, failed, chip, pin)
	}
	var where []string
	for _, m := range matches {
		where = append(where, fmt.Sprintf("%s line %d", m.chip.Label, m.line.Offset))
	}
	return ChipInfo{}, LineInfo{}, fmt.Errorf("%w: %q could be %s: say which with chip", ErrNotFound, pin, strings.Join(where, " or "))
}

func notFound(chips []ChipInfo, failed error, chip, pin string) error {
	if failed != nil { // it may be on that one
		return fmt.Errorf("look for the line %q: %w", pin, failed)
	}
	var labels []string
	for _, c := range chips {
		labels = append(labels, c.Label)
	}
	there := "there is no GPIO chip at all"
	if len(labels) > 0 {
		there = "there are " + strings.Join(labels, ", ")
	}
	if chip != "" {
		return fmt.Errorf("%w: %q of the chip %q: %s (gateway devices scan lists their lines)", ErrNotFound, pin, chip, there)
	}
	return fmt.Errorf("%w: %q on any chip: %s (gateway devices scan lists their lines)", ErrNotFound, pin, there)
}
