// The two products that a step consists of.
//
// Values lie with the sample innermost: a channel's row is columns x samples in one run, so a
// kernel's step to the right is a shift of the row by `samples`, and a dense layer is a
// convolution of one pixel. No patches are copied; the vectors run along the row, whatever the
// batch size.
#pragma once

#include <algorithm>
#include <vector>

#include "vectors.h"

namespace ws {

// Registers hold I rows x J vectors of sums, J vectors of input and one weight.
constexpr int most_vectors(int rows) {
  int j = (WS_REGISTERS - 2) / (rows + 1);
  return j < 1 ? 1 : (j > 8 ? 8 : j);
}

// How many of the remaining rows one tile takes.
inline int tile_rows(int left) {
  constexpr bool many = WS_REGISTERS >= 32;
  if (left % 8 == 0 && many) return 8;
  if (left % 6 == 0) return 6;
  if (left >= 8 && many) return 8;
  return left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

// The input of a line of output: only `spans` of the depth count, the others are padding.
struct Span {
  int begin, end;
};
struct Line {
  ptrdiff_t in, out;
  const Span* spans;
  int count;
};

// Matrix [rows, taps x channels] packed tile by tile, for a tile channels innermost but for rows;
// `at(row, tap, channel)` reads it.
template <class T, class At> void pack(int rows, int taps, int channels, T* packed, At at) {
  for (int first = 0, tile; first < rows; first += tile) {
    tile = tile_rows(rows - first);
    for (int tap = 0; tap < taps; tap++)
      for (int c = 0; c < channels; c++)
        for (int i = 0; i < tile; i++) *packed++ = at(first + i, tap, c);
  }
}

// The left side of a product: packed, or rows that lie `row` values apart, of depth innermost.
template <class T> struct Packed {
  const T* p;
  template <int I> T at(int i, int k) const { return p[(ptrdiff_t)k * I + i]; }
  Packed from(ptrdiff_t first, ptrdiff_t depth) const { return {p + first * depth}; }
};
template <class T> struct Rows {
  const T* p;
  ptrdiff_t row;
  template <int I> T at(int i, int k) const { return p[i * row + k]; }
  Rows from(ptrdiff_t first, ptrdiff_t) const { return {p + first * row, row}; }
};

// out[i][j] = bias[i] + sum over k of a[i][k] * in[offset[k] + j] for one tile.
template <class T, int I, int J, class A>
inline void product_tile(const Line& line, A a, const ptrdiff_t* offset, const T* in,
                         const T* bias, T* out, ptrdiff_t out_row, int lanes) {
  constexpr int n = Simd<T>::n;
  Vec<T> s[I][J];
#pragma GCC unroll 8
  for (int i = 0; i < I; i++)
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) s[i][j] = all(bias ? bias[i] : T(0));
  for (int span = 0; span < line.count; span++) {
    const int end = line.spans[span].end;
    for (int k = line.spans[span].begin; k < end; k++) {
      const T* from = in + offset[k];
      Vec<T> x[J];
#pragma GCC unroll 8
      for (int j = 0; j < J; j++) x[j] = load(from + j * n);
#pragma GCC unroll 8
      for (int i = 0; i < I; i++) {
        const Vec<T> w = all(a.template at<I>(i, k));
#pragma GCC unroll 8
        for (int j = 0; j < J; j++) s[i][j] += w * x[j];
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < I; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < J - 1; j++) store(out + i * out_row + j * n, s[i][j]);
    put(out + i * out_row + (J - 1) * n, s[i][J - 1], lanes, lanes == n);
  }
}

template <class T, int I, int J, class A>
inline void product_dispatch(int vectors, const Line& line, A a, const ptrdiff_t* offset,
                             const T* in, const T* bias, T* out, ptrdiff_t out_row, int lanes) {
  if constexpr (J > 1) {
    if (vectors < J)
      return product_dispatch<T, I, J - 1>(vectors, line, a, offset, in, bias, out, out_row, lanes);
  }
  product_tile<T, I, J>(line, a, offset, in, bias, out, out_row, lanes);
}

template <class T, int I, class A>
void product_rows(const std::vector<Line>& lines, ptrdiff_t length, A a, const ptrdiff_t* offset,
                  const T* in, const T* bias, T* out, ptrdiff_t out_row) {
  constexpr int n = Simd<T>::n, most = most_vectors(I);
  const int vectors = (int)((length + n - 1) / n);
  const int last = (int)(length - (ptrdiff_t)(vectors - 1) * n);
  const int groups = (vectors + most - 1) / most;
  for (const Line& line : lines)
    for (int g = 0; g < groups; g++) {
      // Groups of nearly equal width: a narrow last one would leave the arithmetic waiting.
      const int from = vectors * g / groups, to = vectors * (g + 1) / groups;
      product_dispatch<T, I, most>(to - from, line, a, offset, in + line.in + from * n, bias,
                                   out + line.out + from * n, out_row, to == vectors ? last : n);
    }
}

// out[row][line][j] = bias[row] + sum over k of a[row][k] * in[line][offset[k] + j], j < length.
// Up to one vector after a line's input is read but not used.
template <class T, class A>
void product(int rows, int depth, const std::vector<Line>& lines, ptrdiff_t length, A all_a,
             const ptrdiff_t* offset, const T* in, const T* bias, T* out, ptrdiff_t out_row) {
  for (int first = 0, tile; first < rows; first += tile) {
    tile = tile_rows(rows - first);
    const T* b = bias ? bias + first : nullptr;
    T* o = out + first * out_row;
    const A a = all_a.from(first, depth);
    switch (tile) {
      case 8: product_rows<T, 8>(lines, length, a, offset, in, b, o, out_row); break;
      case 6: product_rows<T, 6>(lines, length, a, offset, in, b, o, out_row); break;
      case 4: product_rows<T, 4>(lines, length, a, offset, in, b, o, out_row); break;
      case 2: product_rows<T, 2>(lines, length, a, offset, in, b, o, out_row); break;
      default: product_rows<T, 1>(lines, length, a, offset, in, b, o, out_row);
    }
  }
}

// A kernel's gradient: rows of the input, shifted by a tap, against rows of the output's gradient.
template <class T> struct Correlation {
  int in, out, kernel, padding, side_in, side, samples, stride;
  const T *x, *d;  // padded input from its corner, gradient from its first used value
  ptrdiff_t x_channel, x_line, d_channel, d_line;
  Vec<T>* sums;  // partial sums of each weight [out, in, k, k]
};

// A rectangle of output pixels.
struct Region {
  int top, bottom, left, right;
};

// sums[i][s] += gradient rows of output channel i times input rows at x + shift[s].
template <class T, int I, int S>
inline void correlate_tile(const Correlation<T>& c, const T* d, const T* x,
                           const ptrdiff_t* shift, Region r, Vec<T>* sums, ptrdiff_t row,
                           ptrdiff_t step) {
  constexpr int n = Simd<T>::n;
  Vec<T> s[I][S];
#pragma GCC unroll 8
  for (int i = 0; i < I; i++)
#pragma GCC unroll 8
    for (int k = 0; k < S; k++) s[i][k] = sums[i * row + k * step];
  // With a stride, a run is a single pixel.
  const int pixels = c.stride == 1 ? r.right - r.left : 1;
  const ptrdiff_t length = (ptrdiff_t)pixels * c.samples;
  for (int y = r.top, column = r.left; y < r.bottom; column += pixels) {
    if (column >= r.right) {
      column = r.left - pixels, y++;
      continue;
    }
    const T* dy = d + y * c.d_line + (ptrdiff_t)column * c.samples;
    const T* xy = x + y * c.stride * c.x_line + (ptrdiff_t)column * c.stride * c.samples;
    ptrdiff_t j = 0;
    for (; j + n <= length; j += n) {
      Vec<T> g[I];
#pragma GCC unroll 8
      for (int i = 0; i < I; i++) g[i] = load(dy + i * c.d_channel + j);
#pragma GCC unroll 8
      for (int k = 0; k < S; k++) {
        const Vec<T> v = load(xy + shift[k] + j);
#pragma GCC unroll 8
        for (int i = 0; i < I; i++) s[i][k] += g[i] * v;
      }
    }
    if (j < length) {
      const int lanes = (int)(length - j);
      Vec<T> g[I];
#pragma GCC unroll 8
      for (int i = 0; i < I; i++) g[i] = load_some(dy + i * c.d_channel + j, lanes);
#pragma GCC unroll 8
      for (int k = 0; k < S; k++) {
        const Vec<T> v = load_some(xy + shift[k] + j, lanes);
#pragma GCC unroll 8
        for (int i = 0; i < I; i++) s[i][k] += g[i] * v;
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < I; i++)
#pragma GCC unroll 8
    for (int k = 0; k < S; k++) sums[i * row + k * step] = s[i][k];
}

// How many output channels a tile with S shifts takes: I x S sums, I gradients and one input.
template <int S> inline int tile_outputs(int left) {
  constexpr int most = (WS_REGISTERS - 2) / (S + 1);
  if (most >= 8 && left >= 8) return 8;
  if (most >= 6 && left % 6 == 0) return 6;
  if (most >= 4 && left >= 4) return 4;
  return most >= 2 && left >= 2 ? 2 : 1;
}

// All output channels against S shifts of the input at `x`; their weights start at `weight` and
// lie `step` apart.
template <class T, int S>
void correlate_shifts(const Correlation<T>& c, const T* x, const ptrdiff_t* shift, Region r,
                      ptrdiff_t weight, ptrdiff_t step) {
  const ptrdiff_t row = (ptrdiff_t)c.in * c.kernel * c.kernel;
  for (int o = 0, tile; o < c.out; o += tile) {
    tile = tile_outputs<S>(c.out - o);
    const T* d = c.d + o * c.d_channel;
    Vec<T>* sums = c.sums + o * row + weight;
    switch (tile) {
      case 8: correlate_tile<T, 8, S>(c, d, x, shift, r, sums, row, step); break;
      case 6: correlate_tile<T, 6, S>(c, d, x, shift, r, sums, row, step); break;
      case 4: correlate_tile<T, 4, S>(c, d, x, shift, r, sums, row, step); break;
      case 2: correlate_tile<T, 2, S>(c, d, x, shift, r, sums, row, step); break;
      default: correlate_tile<T, 1, S>(c, d, x, shift, r, sums, row, step);
    }
  }
}

template <class T>
void correlate_some(int count, const Correlation<T>& c, const T* x, const ptrdiff_t* shift,
                    Region r, ptrdiff_t weight, ptrdiff_t step) {
  switch (count) {
    case 1: return correlate_shifts<T, 1>(c, x, shift, r, weight, step);
    case 2: return correlate_shifts<T, 2>(c, x, shift, r, weight, step);
    case 3: return correlate_shifts<T, 3>(c, x, shift, r, weight, step);
    case 4: return correlate_shifts<T, 4>(c, x, shift, r, weight, step);
    default: return correlate_shifts<T, 5>(c, x, shift, r, weight, step);
  }
}

// The pixels of a block whose input under a tap is not padding.
template <class T> inline Region inside(const Correlation<T>& c, Region block, int ky, int kx) {
  const int s = c.stride;
  return {std::max(block.top, (c.padding - ky + s - 1) / s),
          std::min(block.bottom, (c.side_in + c.padding - ky + s - 1) / s),
          std::max(block.left, (c.padding - kx + s - 1) / s),
          std::min(block.right, (c.side_in + c.padding - kx + s - 1) / s)};
}

template <class T> void correlate_block(const Correlation<T>& c, Region block) {
  const int area = c.kernel * c.kernel;
  ptrdiff_t shift[5];
  for (int ky = 0; ky < c.kernel; ky++) {
    const T* x = c.x + ky * c.x_line;
    if (c.in < 3) {  // too few channels to fill the registers, so use neighbouring taps
      const Region r = inside(c, {block.top, block.bottom, 0, 0}, ky, 0);
      for (int channel = 0; channel < c.in; channel++)
        for (int kx = 0, take; kx < c.kernel; kx += take) {
          const int left = c.kernel - kx;
          take = left <= 5 ? left : left == 6 ? 3 : left <= 8 ? 4 : 5;
          for (int k = 0; k < take; k++) shift[k] = channel * c.x_channel + (kx + k) * c.samples;
          correlate_some(take, c, x, shift, {r.top, r.bottom, block.left, block.right},
                         (ptrdiff_t)channel * area + ky * c.kernel + kx, 1);
        }
      continue;
    }
    for (int kx = 0; kx < c.kernel; kx++) {
      const Region r = inside(c, block, ky, kx);
      if (r.top >= r.bottom || r.left >= r.right) continue;
      for (int channel = 0, take; channel < c.in; channel += take) {
        const int left = c.in - channel;
        take = left % 4 == 0 ? 4 : left % 3 == 0 ? 3 : left > 5 ? 4 : left;
        for (int k = 0; k < take; k++) shift[k] = (channel + k) * c.x_channel + kx * c.samples;
        correlate_some(take, c, x, shift, r, (ptrdiff_t)channel * area + ky * c.kernel + kx, area);
      }
    }
  }
}

// gradient[weight] = sum over samples and pixels, for all weights of a kernel [out, in, k, k].
template <class T> void correlate(const Correlation<T>& c, T* gradient) {
  const ptrdiff_t weights = (ptrdiff_t)c.out * c.in * c.kernel * c.kernel;
  std::memset(static_cast<void*>(c.sums), 0, weights * sizeof(Vec<T>));
  // Every weight reads a block of pixels while it is in the first-level cache. If the
  // sums do not fit in that cache, a larger block is better.
  const int values = (weights * (ptrdiff_t)sizeof(Vec<T>) > (1 << 19) ? 12288 : 4096) * 4 / sizeof(T);
  const int pixels = std::max(1, values / 4 / c.samples);
  const int rows = std::max(1, pixels / c.side), columns = std::min(c.side, pixels);
  for (int top = 0; top < c.side; top += rows)
    for (int left = 0; left < c.side; left += columns)
      correlate_block(c, {top, std::min(top + rows, c.side), left,
                          std::min(left + columns, c.side)});
  sum_each(c.sums, weights, gradient);
}

// [rows, columns] -> [columns, rows].
template <class T> void transpose(int rows, int columns, const T* from, T* to) {
  constexpr int n = Simd<T>::n;
  for (int r = 0; r < rows; r += n)
    for (int c = 0; c < columns; c += n)
      transpose_block(std::min(n, rows - r), std::min(n, columns - c),
                      from + (ptrdiff_t)r * columns + c, columns, to + (ptrdiff_t)c * rows + r,
                      rows);
}

}  // namespace ws
