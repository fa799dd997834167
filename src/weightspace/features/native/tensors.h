// The numbers of one tensor: layers.py and structure.py say what they are.
#pragma once

#include <array>

#include "numbers.h"

namespace ws {

// BLAS and LAPACK, as scipy has them.
using Gemm = void (*)(const char*, const char*, const int*, const int*, const int*, const double*,
                      const double*, const int*, const double*, const int*, const double*, double*,
                      const int*);
using Eigen = void (*)(const char*, const char*, const int*, double*, const int*, double*, double*,
                       const int*, int*, const int*, int*);

// Where a tensor is in the vector, and its shape; `last` is the length of its last axis. A dense
// weight has rows = columns = 1. The fields of `_tensors` in native/__init__.py.
struct Tensor {
  int64_t offset, is_weight, out, in, rows, columns, last;
};

struct Algebra {
  Gemm gemm;
  Eigen eigen;
};

class Tensors {
 public:
  // Returns whether the singular values were found.
  bool weight(Algebra algebra, const float* x, const Tensor& t, double* out) {
    algebra_ = algebra;
    const ptrdiff_t n = prepare(x, t);
    double scale = n % 2 ? sizes_[n / 2] : ((double)sizes_[n / 2 - 1] + sizes_[n / 2]) / 2;
    if (!(scale > 1e-12)) {
      scale = 0;
      for (ptrdiff_t i = 0; i < n; i++) scale += std::fabs(x[i]);
      scale = scale == 0 ? 1 : scale / n;
    }
    const Moments m = moments_of(x, n);
    *out++ = std::asinh(10 * m.mean / scale);
    *out++ = std::log10(std::sqrt(m.variance) + 1e-8);
    *out++ = std::asinh(m.skewness);
    *out++ = std::asinh(m.kurtosis);
    *out++ = std::log10(scale + 1e-8);
    for (double share : {0.02, 0.25, 0.5, 0.75, 0.98})
      *out++ = std::asinh(quantile(ordered_.data(), n, share) / scale);
    ptrdiff_t near = 0;
    for (ptrdiff_t i = 0; i < n; i++) near += std::fabs(x[i]) < 1e-2 * scale;
    *out++ = std::sqrt((double)near / n);
    return structure(x, t, scale, out);
  }

  // A bias, a scale, a shift or a running statistic.
  void other(const float* x, const Tensor& t, double* out) {
    const double knee = 1e-3, faintest = 1e-14;
    const ptrdiff_t n = prepare(x, t);
    const Moments m = moments_of(x, n);
    *out++ = std::asinh(m.mean / knee);
    *out++ = std::log10(std::sqrt(m.variance) + 1e-8);
    *out++ = std::asinh(m.skewness);
    for (double share : {0.02, 0.25, 0.5, 0.75, 0.98})
      *out++ = std::asinh(quantile(ordered_.data(), n, share) / knee);
    for (double share : {0.0, 0.25, 0.5, 1.0})
      *out++ = std::log10(quantile(sizes_, n, share) + faintest);
  }

  // Gives back the memory of large tensors.
  void shrink() {
    if (tamed_.capacity() + gram_.capacity() > 500'000) *this = Tensors();
  }

 private:
  ptrdiff_t prepare(const float* x, const Tensor& t) {
    const ptrdiff_t n = t.out * t.in * t.rows * t.columns;
    ordered_.resize(n);
    sort_(x, n, ordered_.data());
    sizes_ = Sizes(ordered_.data(), n);
    return n;
  }

  bool structure(const float* x, const Tensor& t, double scale, double* out) {
    const ptrdiff_t units = t.out, inputs = t.in, taps = t.rows * t.columns;
    const ptrdiff_t row = inputs * taps, n = units * row;
    scaled_.resize(n), tamed_.resize(n);
    const double each = 1 / scale;
    for (ptrdiff_t i = 0; i < n; i++) {
      scaled_[i] = x[i] * each;
      tamed_[i] = asinh_of(scaled_[i]);
    }
    const double mean = sum_of(tamed_.data(), n) / n;
    spread(units, inputs, taps, out + 1);
    for (ptrdiff_t i = 0; i < n; i++) tamed_[i] -= mean;
    double variance = 0;
    for (ptrdiff_t i = 0; i < n; i++) variance += tamed_[i] * tamed_[i];
    variance /= n;
    out[0] = neighbours(n / t.last, t.last, 1, variance);
    if (!spectrum(units, row, out + 4)) return false;
    taps_of(t, variance, out + 13);
    return true;
  }

  // The mean product of values `step` apart in rows of `length`, relative to the variance.
  double neighbours(ptrdiff_t rows, ptrdiff_t length, ptrdiff_t step, double variance) const {
    if (length <= step || variance <= 1e-12) return 0;
    double sum = 0;
    for (ptrdiff_t r = 0; r < rows; r++) {
      const double* x = tamed_.data() + r * length;
      for (ptrdiff_t i = 0; i + step < length; i++) sum += x[i] * x[i + step];
    }
    return sum / (rows * (length - step)) / variance;
  }

  // The spread of the units' sizes, of their means, and of the inputs' sizes.
  void spread(ptrdiff_t units, ptrdiff_t inputs, ptrdiff_t taps, double* out) {
    std::vector<double> sizes(units), means(units), squares(inputs);
    const double* x = tamed_.data();
    for (ptrdiff_t u = 0; u < units; u++, x += inputs * taps) {
      double sum = 0, square = 0;
      for (ptrdiff_t i = 0; i < inputs * taps; i++) sum += x[i], square += x[i] * x[i];
      if (taps == 1)
        for (ptrdiff_t i = 0; i < inputs; i++) squares[i] += x[i] * x[i];
      else
        for (ptrdiff_t i = 0; i < inputs; i++)
          for (ptrdiff_t t = i * taps; t < (i + 1) * taps; t++) squares[i] += x[t] * x[t];
      sizes[u] = std::log(std::sqrt(square / (inputs * taps)) + 1e-6);
      means[u] = sum / (inputs * taps);
    }
    for (double& own : squares) own = std::log(std::sqrt(own / (units * taps)) + 1e-6);
    out[0] = std::sqrt(moments_of(sizes.data(), units).variance);
    out[1] = std::sqrt(moments_of(means.data(), units).variance);
    out[2] = std::sqrt(moments_of(squares.data(), inputs).variance);
  }

  // Numbers of the singular values, and the kurtosis of weights without strong directions.
  bool spectrum(ptrdiff_t rows, ptrdiff_t columns, double* out) {
    const bool turned = rows > columns;
    const int small = (int)std::min(rows, columns), large = (int)std::max(rows, columns);
    const ptrdiff_t n = rows * columns;
    std::fill(out, out + 9, 0.0);
    // BLAS takes columns: for it `scaled_` is the turned matrix.
    gram_.resize((size_t)small * small);
    multiply(turned ? 'N' : 'T', turned ? 'T' : 'N', small, small, large, 1, scaled_.data(),
             (int)columns, scaled_.data(), (int)columns, 0, gram_.data(), small);
    double total = 0;
    diagonal_.resize(small);
    for (int i = 0; i < small; i++) total += diagonal_[i] = gram_[(size_t)i * small + i];
    if (!(total > 1e-12) || !(total < 1e300)) return true;
    out[4] = even(rows, columns, 1e-12 / n);
    if (!decompose(small)) return false;
    singular(rows, columns, out);
    rests(small, large, turned, (int)columns, 1e-12 * total / n, out + 5);
    return true;
  }

  // Weights divided by the size of their row and column.
  double even(ptrdiff_t rows, ptrdiff_t columns, double least) {
    std::vector<double> of_rows(rows), of_columns(columns);
    for (ptrdiff_t r = 0; r < rows; r++)
      for (ptrdiff_t c = 0; c < columns; c++) {
        const double square = scaled_[r * columns + c] * scaled_[r * columns + c];
        of_rows[r] += square, of_columns[c] += square;
      }
    for (double& own : of_rows) own = std::sqrt(own);
    for (double& own : of_columns) own = std::sqrt(own);
    double two = 0, four = 0;
    for (ptrdiff_t r = 0; r < rows; r++)
      for (ptrdiff_t c = 0; c < columns; c++) {
        const double size = of_rows[r] * of_columns[c];
        const double own = size > 1e-12 ? scaled_[r * columns + c] / size : 0, square = own * own;
        two += square, four += square * square;
      }
    return kurtosis(two, four, rows * columns, least);
  }

  static double kurtosis(double two, double four, ptrdiff_t n, double least) {
    two /= n;
    return two <= least ? 0 : std::asinh(four / n / (two * two) - 3);
  }

  bool decompose(int n) {
    values_.resize(n);
    int failed = 0, query = -1, whole = 0;
    double size = 0;
    algebra_.eigen("V", "L", &n, gram_.data(), &n, values_.data(), &size, &query, &whole, &query, &failed);
    work_.resize((size_t)size), places_.resize(whole);
    const int most = (int)work_.size();
    algebra_.eigen("V", "L", &n, gram_.data(), &n, values_.data(), work_.data(), &most, places_.data(),
           &whole, &failed);
    return !failed;
  }

  void singular(ptrdiff_t rows, ptrdiff_t columns, double* out) {
    const size_t count = values_.size();
    double total = 0, entropy = 0;
    for (double& own : values_) total += own = std::max(own, 0.0);
    for (double own : values_) entropy -= own / total * std::log(own / total + 1e-12);
    const double sides = std::sqrt((double)rows) + std::sqrt((double)columns);
    const double first = values_[count - 1], next = count > 1 ? values_[count - 2] : 0;
    out[0] = std::log(first / (total / (rows * columns) * sides * sides));
    out[1] = std::log((first + 1e-12) / (next + 1e-6 * first));
    out[2] = std::log(total / first / count);
    out[3] = entropy - std::log((double)count);
  }

  // The kurtosis of the weights in the weakest 90, 75, 50 and 25 % of directions: each share takes
  // more directions from what the larger one left.
  void rests(int small, int large, bool turned, int columns, double least, double* out) {
    constexpr double shares[] = {0.9, 0.75, 0.5, 0.25};
    const auto weakest = [small](double share) {
      return std::max(1, (int)std::nearbyint(share * small));
    };
    const int fewest = weakest(shares[3]), strong = small - fewest;
    const double* directions = gram_.data() + (size_t)fewest * small;
    const auto step = turned ? strong : large;
    along_.resize((size_t)strong * large);
    if (strong && turned)
      multiply('T', 'N', strong, large, small, 1, directions, small, scaled_.data(), columns, 0,
               along_.data(), step);
    if (strong && !turned)
      multiply('N', 'N', large, strong, small, 1, scaled_.data(), columns, directions, small, 0,
               along_.data(), step);
    rest_ = scaled_;
    int left = small;
    for (double share : shares) {
      const int count = weakest(share), more = left - count;
      const double *these = gram_.data() + (size_t)count * small, *own = along_.data();
      if (more && turned)
        multiply('N', 'N', small, large, more, -1, these, small, own + count - fewest, step, 1,
                 rest_.data(), small);
      if (more && !turned)
        multiply('N', 'T', large, small, more, -1, own + (size_t)(count - fewest) * large, step,
                 these, small, 1, rest_.data(), large);
      left = count;
      double two = 0, four = 0;
      for (double x : rest_) two += x * x, four += x * x * x * x;
      *out++ = kurtosis(two, four, (ptrdiff_t)small * large, least);
    }
  }

  // C [m, n] = factor A B + kept C, each matrix in columns of `step` values, A and B turned where 'T'.
  void multiply(char a_turned, char b_turned, int m, int n, int k, double factor,
                const double* a, int a_step, const double* b, int b_step, double kept, double* c,
                int c_step) const {
    algebra_.gemm(&a_turned, &b_turned, &m, &n, &k, &factor, a, &a_step, b, &b_step, &kept, c, &c_step);
  }

  // How the taps of kernels correlate, and where they are strong.
  void taps_of(const Tensor& t, double variance, double* out) const {
    std::fill(out, out + 8, 0.0);
    const ptrdiff_t rows = t.rows, side = t.columns, taps = rows * side;
    if (side < 3 || rows < 3) return;
    const ptrdiff_t kernels = t.out * t.in;
    std::vector<double> energy(taps), sums(taps);
    double next = 0, second = 0, below = 0, mirrored = 0, smooth = 0;
    for (ptrdiff_t k = 0; k < kernels; k++) {
      const double *x = tamed_.data() + k * taps, *w = scaled_.data() + k * taps;
      double sum = 0;
      for (ptrdiff_t p = 0; p < taps; p++) {
        const double own = std::clamp(w[p], -100.0, 100.0);
        energy[p] += own * own, sums[p] += x[p], sum += x[p];
      }
      smooth += sum * sum / (taps * taps);
      for (ptrdiff_t p = 0; p + side < taps; p++) next += x[p] * x[p + side];
      for (ptrdiff_t p = 0; p + 2 * side < taps; p++) below += x[p] * x[p + 2 * side];
      for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < side; c++) {
          mirrored += x[r * side + c] * x[r * side + side - 1 - c];
          if (c + 2 < side) second += x[r * side + c] * x[r * side + c + 2];
        }
    }
    const auto correlation = [&](double sum, ptrdiff_t each) {
      return variance <= 1e-12 ? 0.0 : sum / (kernels * each) / variance;
    };
    for (double& own : energy) own /= kernels;
    const double mean = sum_of(energy.data(), taps) / taps + 1e-12;
    const double corners = (energy[0] + energy[side - 1] + energy[taps - side] + energy[taps - 1]) / 4;
    double pattern = 0;
    for (double own : sums) pattern += own / kernels * (own / kernels);
    out[0] = correlation(next, taps - side);
    out[1] = correlation(second, rows * (side - 2));
    out[2] = correlation(below, taps - 2 * side);
    out[3] = correlation(mirrored, taps);
    out[4] = std::log(energy[rows / 2 * side + side / 2] / mean + 1e-6);
    out[5] = std::log(corners / mean + 1e-6);
    out[6] = std::log((smooth / kernels * taps + 1e-9) / (variance + 1e-9));
    out[7] = std::log((pattern / taps * kernels + 1e-9) / (variance + 1e-9));
  }

  Algebra algebra_;
  Sorter sort_;
  Sizes sizes_;
  std::vector<float> ordered_;
  std::vector<double> scaled_, tamed_, gram_, diagonal_, along_, rest_, values_, work_;
  std::vector<int> places_;
};

}  // namespace ws
