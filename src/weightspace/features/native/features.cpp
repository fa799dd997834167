// Features of slices and of tensors: what features/local.py and features/layers.py compute with
// NumPy, up to rounding; a test compares the two. Nothing here depends on earlier calls or uses
// Python.
#include <new>

#include "local.h"
#include "tensors.h"
#include "weightspace/native.h"

extern "C" {

int ws_level(void) { return level_of_processor(); }

// Rows `values` [rows, length]: all columns before the spectrum into `out` [rows, columns], what is
// to be transformed into `series` [rows, 2, padded], `flat` [rows, 2] and `folds` [rows, 9].
// Returns where the columns of the spectrum begin, or -1 without memory.
int64_t ws_describe(const ws::Shape* shape, int64_t rows, const float* values, double* out,
                    float* series, uint8_t* flat, double* folds) try {
  ws::Local local(*shape);
  int64_t first = 0;
  for (int64_t r = 0; r < rows; r++) {
    double* row = out + r * shape->columns;
    first = local.describe(values + r * shape->length, row, series + 2 * r * shape->padded,
                           flat + 2 * r) - row;
    std::copy(local.folds(), local.folds() + 9, folds + 9 * r);
  }
  return first;
} catch (const std::bad_alloc&) {
  return -1;
}

// Complex numbers `waves` [count, 2] become their squared sizes, with imaginary parts of 0.
void ws_power(int64_t count, float* waves) {
  for (int64_t i = 0; i < 2 * count; i += 2) {
    waves[i] = waves[i] * waves[i] + waves[i + 1] * waves[i + 1];
    waves[i + 1] = 0;
  }
}

// The columns of the spectrum, from `first` on: complex `power` [rows, 2, count + 1],
// `covariance` [rows, 2, padded].
int ws_spectrum(const ws::Shape* shape, int64_t rows, int64_t first, const float* power,
                const float* covariance, const uint8_t* flat, const double* folds,
                double* out) try {
  for (int64_t r = 0; r < rows; r++)
    ws::Local::spectrum(*shape, power + 4 * r * (shape->count + 1) + 2,
                        covariance + 2 * r * shape->padded,
                        covariance + (2 * r + 1) * shape->padded, flat + 2 * r, folds + 9 * r,
                        out + r * shape->columns + first);
  return 0;
} catch (const std::bad_alloc&) {
  return -1;
}

// The numbers of the tensors of one vector, [count, width]. Returns -1 without memory, 1 where
// singular values were not found.
int ws_tensors(ws::Gemm gemm, ws::Eigen eigen, const float* vector, int64_t count,
               const ws::Tensor* told, int64_t width, double* out) try {
  // Memory that was touched before costs nothing; much of it is given back.
  thread_local ws::Tensors tensors;
  bool found = true;
  for (int64_t i = 0; i < count; i++, out += width) {
    const float* x = vector + told[i].offset;
    if (told[i].is_weight) found &= tensors.weight({gemm, eigen}, x, told[i], out);
    else tensors.other(x, told[i], out);
  }
  tensors.shrink();
  return found ? 0 : 1;
} catch (const std::bad_alloc&) {
  return -1;
}

// `out` [rows, columns]: each column of `values` by the line through its knots [columns, knots],
// which ascend; 0 where it is missing.
void ws_interpolate(int64_t rows, int64_t columns, int64_t knots, const double* values,
                    const double* at, const double* scores, double* out) {
  for (int64_t c = 0; c < columns; c++) {
    const double *x = at + c * knots, *y = scores + c * knots;
    for (int64_t r = 0; r < rows; r++) {
      const double own = values[r * columns + c];
      int64_t low = 0;
      for (int64_t left = knots; left > 1;) {
        const int64_t half = left / 2;
        low = x[low + half] <= own ? low + half : low;
        left -= half;
      }
      double score = y[low];
      if (own > x[low] && low + 1 < knots)
        score += (y[low + 1] - score) / (x[low + 1] - x[low]) * (own - x[low]);
      out[r * columns + c] = score;
    }
  }
}

}  // extern "C"
