package found

import "slices"

// Range is the sequences from the first to the second, both included.
type Range [2]uint64

// Ranges are sorted, do not touch, and belong to one client.
type Ranges []Range

// Add adds a sequence and tells whether it was not there.
func (r *Ranges) Add(seq uint64) bool {
	s := *r
	i, _ := slices.BinarySearchFunc(s, seq, func(x Range, seq uint64) int {
		if x[1] < seq {
			return -1
		}
		return 1
	})
	if i < len(s) && s[i][0] <= seq {
		return false
	}
	left := i > 0 && s[i-1][1]+1 == seq
	right := i < len(s) && s[i][0] == seq+1
	switch {
	case left && right:
		s[i-1][1] = s[i][1]
		s = slices.Delete(s, i, i+1)
	case left:
		s[i-1][1] = seq
	case right:
		s[i][0] = seq
	default:
		s = slices.Insert(s, i, Range{seq, seq})
	}
	*r = s
	return true
}

// Has tells whether the sequence is there.
func (r Ranges) Has(seq uint64) bool {
	_, ok := slices.BinarySearchFunc(r, seq, func(x Range, seq uint64) int {
		switch {
		case x[1] < seq:
			return -1
		case x[0] > seq:
			return 1
		}
		return 0
	})
	return ok
}
