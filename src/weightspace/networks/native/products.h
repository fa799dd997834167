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

// How many of the rows that are left one tile takes.
inline int tile_rows(int left) {
  constexpr bool many = WS_REGISTERS >= 32;
  if (left % 8 == 0 && many) return 8;
  if (left % 6 == 0) return 6;
  if (left >= 8 && many) return 8;
  return left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

// Matrix [rows, depth] packed tile by tile, depth slowest within a tile; `at(row, k)` reads it.
template <class T, class At> void pack(int rows, int depth, T* packed, At at) {
  for (int first = 0, tile; first < rows; first += tile) {
    tile = tile_rows(rows - first);
    for (int k = 0; k < depth; k++)
      for (int i = 0; i < tile; i++) *packed++ = at(first + i, k);
  }
}

// out[i][j] = bias[i] + sum over k of a[k][i] * in[offset[k] + j] for one tile.
template <class T, int I, int J>
inline void product_tile(int depth, const T* a, const ptrdiff_t* offset, const T* in,
                         const T* bias, T* out, ptrdiff_t out_row, int lanes) {
  constexpr int n = Simd<T>::n;
  Vec<T> s[I][J];
#pragma GCC unroll 8
  for (int i = 0; i < I; i++)
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) s[i][j] = all(bias ? bias[i] : T(0));
  for (int k = 0; k < depth; k++, a += I) {
    const T* from = in + offset[k];
    Vec<T> x[J];
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) x[j] = load(from + j * n);
#pragma GCC unroll 8
    for (int i = 0; i < I; i++) {
      const Vec<T> w = all(a[i]);
#pragma GCC unroll 8
      for (int j = 0; j < J; j++) s[i][j] += w * x[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < I; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < J - 1; j++) store(out + i * out_row + j * n, s[i][j]);
    put(out + i * out_row + (J - 1) * n, s[i][J - 1], lanes, lanes == n);
  }
}

template <class T, int I, int J>
inline void product_dispatch(int vectors, int depth, const T* a, const ptrdiff_t* offset,
                             const T* in, const T* bias, T* out, ptrdiff_t out_row, int lanes) {
  if constexpr (J > 1) {
    if (vectors < J)
      return product_dispatch<T, I, J - 1>(vectors, depth, a, offset, in, bias, out, out_row,
                                           lanes);
  }
  product_tile<T, I, J>(depth, a, offset, in, bias, out, out_row, lanes);
}

template <class T, int I>
void product_rows(int lines, ptrdiff_t length, int depth, const T* a, const ptrdiff_t* offset,
                  const T* in, ptrdiff_t in_line, const T* bias, T* out, ptrdiff_t out_line,
                  ptrdiff_t out_row) {
  constexpr int n = Simd<T>::n, most = most_vectors(I);
  const int vectors = (int)((length + n - 1) / n), last = (int)(length - (ptrdiff_t)(vectors - 1) * n);
  const int groups = (vectors + most - 1) / most;
  for (int line = 0; line < lines; line++)
    for (int g = 0; g < groups; g++) {
      // Groups of nearly equal width: a narrow last one would leave the arithmetic waiting.
      const int from = (int)((long)vectors * g / groups), to = (int)((long)vectors * (g + 1) / groups);
      product_dispatch<T, I, most>(to - from, depth, a, offset, in + line * in_line + from * n,
                                   bias, out + line * out_line + from * n, out_row,
                                   to == vectors ? last : n);
    }
}

// out[row][line][j] = bias[row] + sum over k of a[row][k] * in[line][offset[k] + j], j < length.
// `a` is packed; up to one vector behind a line's input is read and not used.
template <class T>
void product(int rows, int lines, ptrdiff_t length, int depth, const T* a,
             const ptrdiff_t* offset, const T* in, ptrdiff_t in_line, const T* bias, T* out,
             ptrdiff_t out_line, ptrdiff_t out_row) {
  for (int first = 0, tile; first < rows; first += tile) {
    tile = tile_rows(rows - first);
    const T* b = bias ? bias + first : nullptr;
    T* o = out + first * out_row;
    switch (tile) {
      case 8: product_rows<T, 8>(lines, length, depth, a, offset, in, in_line, b, o, out_line, out_row); break;
      case 6: product_rows<T, 6>(lines, length, depth, a, offset, in, in_line, b, o, out_line, out_row); break;
      case 4: product_rows<T, 4>(lines, length, depth, a, offset, in, in_line, b, o, out_line, out_row); break;
      case 2: product_rows<T, 2>(lines, length, depth, a, offset, in, in_line, b, o, out_line, out_row); break;
      default: product_rows<T, 1>(lines, length, depth, a, offset, in, in_line, b, o, out_line, out_row);
    }
    a += (ptrdiff_t)tile * depth;
  }
}

// What a kernel's gradient is: shifted rows of the input against rows of the output's gradient.
// `sums` holds a vector of partial sums for each weight [out, in, k, k].
template <class T> struct Correlation {
  int in, out, kernel, lines;
  ptrdiff_t length, samples;                // a line's values; the shift of one column
  const T *x, *d;                           // input and gradient, at the first used value
  ptrdiff_t x_channel, x_line, d_channel, d_line;
  Vec<T>* sums;
};

template <class T, int I, int K>
inline void correlate_tile(const Correlation<T>& c, int o, int ci, int ky, int kx, int line,
                           int lines, ptrdiff_t from, ptrdiff_t to, bool fresh) {
  constexpr int n = Simd<T>::n;
  const ptrdiff_t row = (ptrdiff_t)c.in * c.kernel * c.kernel;
  Vec<T>* sums = c.sums + o * row + ((ptrdiff_t)ci * c.kernel + ky) * c.kernel + kx;
  Vec<T> s[I][K];
#pragma GCC unroll 8
  for (int i = 0; i < I; i++)
#pragma GCC unroll 8
    for (int k = 0; k < K; k++) s[i][k] = fresh ? Vec<T>{} : sums[i * row + k];
  for (int y = line; y < line + lines; y++) {
    const T* d = c.d + o * c.d_channel + y * c.d_line;
    const T* x = c.x + ci * c.x_channel + (y + ky) * c.x_line + kx * c.samples;
    ptrdiff_t j = from;
    for (; j + n <= to; j += n) {
      Vec<T> g[I];
#pragma GCC unroll 8
      for (int i = 0; i < I; i++) g[i] = load(d + i * c.d_channel + j);
#pragma GCC unroll 8
      for (int k = 0; k < K; k++) {
        const Vec<T> v = load(x + k * c.samples + j);
#pragma GCC unroll 8
        for (int i = 0; i < I; i++) s[i][k] += g[i] * v;
      }
    }
    if (j < to) {
      const int lanes = (int)(to - j);
      Vec<T> g[I];
#pragma GCC unroll 8
      for (int i = 0; i < I; i++) g[i] = load_some(d + i * c.d_channel + j, lanes);
#pragma GCC unroll 8
      for (int k = 0; k < K; k++) {
        const Vec<T> v = load_some(x + k * c.samples + j, lanes);
#pragma GCC unroll 8
        for (int i = 0; i < I; i++) s[i][k] += g[i] * v;
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < I; i++)
#pragma GCC unroll 8
    for (int k = 0; k < K; k++) sums[i * row + k] = s[i][k];
}

// Sums in registers: I x K, with I + 1 vectors beside them.
constexpr int most_outputs(int columns) {
  const int most = (WS_REGISTERS - 2) / (columns + 1);
  return most >= 8 ? 8 : most >= 6 ? 6 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

template <class T, int I, int K>
inline void correlate_kernel(const Correlation<T>& c, int o, int kx, int line, int lines,
                             ptrdiff_t from, ptrdiff_t to, bool fresh) {
  for (int ci = 0; ci < c.in; ci++)
    for (int ky = 0; ky < c.kernel; ky++)
      correlate_tile<T, I, K>(c, o, ci, ky, kx, line, lines, from, to, fresh);
}

template <class T, int K>
void correlate_columns(const Correlation<T>& c, int kx, int line, int lines, ptrdiff_t from,
                       ptrdiff_t to, bool fresh) {
  constexpr int most = most_outputs(K);
  for (int o = 0; o < c.out;) {
    const int left = c.out - o;
    if (most >= 8 && left >= 8) { correlate_kernel<T, (most >= 8 ? 8 : 1), K>(c, o, kx, line, lines, from, to, fresh); o += 8; }
    else if (most >= 6 && left >= 6) { correlate_kernel<T, (most >= 6 ? 6 : 1), K>(c, o, kx, line, lines, from, to, fresh); o += 6; }
    else if (most >= 4 && left >= 4) { correlate_kernel<T, (most >= 4 ? 4 : 1), K>(c, o, kx, line, lines, from, to, fresh); o += 4; }
    else if (most >= 2 && left >= 2) { correlate_kernel<T, (most >= 2 ? 2 : 1), K>(c, o, kx, line, lines, from, to, fresh); o += 2; }
    else { correlate_kernel<T, 1, K>(c, o, kx, line, lines, from, to, fresh); o += 1; }
  }
}

// gradient[weight] = sum over samples and pixels, for all weights of a kernel [out, in, k, k].
template <class T> void correlate(const Correlation<T>& c, T* gradient) {
  constexpr int n = Simd<T>::n;
  const ptrdiff_t weights = (ptrdiff_t)c.out * c.in * c.kernel * c.kernel;
  // A block of lines is read by every weight while it is in the nearest cache; sums that do not
  // fit there themselves are worth a larger block.
  const ptrdiff_t block = n * (weights * (ptrdiff_t)sizeof(Vec<T>) > (1 << 19) ? 192 : 64);
  const int lines = (int)std::max<ptrdiff_t>(1, block / c.length);
  const ptrdiff_t parts = (c.length + block - 1) / block;
  const ptrdiff_t columns = ((c.length + parts - 1) / parts + n - 1) / n * n;
  bool fresh = true;
  for (int line = 0; line < c.lines; line += lines)
    for (ptrdiff_t from = 0; from < c.length; from += columns) {
      const int count = std::min(lines, c.lines - line);
      const ptrdiff_t to = std::min(from + columns, c.length);
      for (int kx = 0; kx < c.kernel;) {
        const int left = c.kernel - kx, take = left <= 5 ? left : left == 6 ? 3 : left <= 8 ? 4 : 5;
        switch (take) {
          case 1: correlate_columns<T, 1>(c, kx, line, count, from, to, fresh); break;
          case 2: correlate_columns<T, 2>(c, kx, line, count, from, to, fresh); break;
          case 3: correlate_columns<T, 3>(c, kx, line, count, from, to, fresh); break;
          case 4: correlate_columns<T, 4>(c, kx, line, count, from, to, fresh); break;
          default: correlate_columns<T, 5>(c, kx, line, count, from, to, fresh);
        }
        kx += take;
      }
      fresh = false;
    }
  for (ptrdiff_t w = 0; w < weights; w++) gradient[w] = sum<T>(c.sums[w]);
}

// [rows, columns] -> [columns, rows].
template <class T> void transpose(int rows, int columns, const T* from, T* to) {
  constexpr int b = 16;
  for (int r = 0; r < rows; r += b)
    for (int c = 0; c < columns; c += b)
      for (int i = r; i < std::min(r + b, rows); i++)
        for (int j = c; j < std::min(c + b, columns); j++)
          to[(ptrdiff_t)j * rows + i] = from[(ptrdiff_t)i * columns + j];
}

}  // namespace ws
