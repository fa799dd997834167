// One training step of convolutional nets, one net after the other, and their forward pass.
//
// It does the same as networks/stack.py: the same plan, vectors in the same order, the same results
// up to rounding; a test compares the two. Nothing here allocates memory after `ws_new`, keeps
// state between calls, or uses Python.
#include <cstdlib>
#include <new>

#include "augment.h"
#include "layers.h"
#include "maps.h"

namespace ws {

struct ConvShape {
  int in, out, kernel, padding, pool, side_in, side, side_out, halo;  // side: before pooling
};

template <class T> struct Array {  // aligned, zeroed, with space to read after the end
  T* p = nullptr;
  void make(size_t count) {
    const size_t bytes = ((count + 1024 / sizeof(T)) * sizeof(T) + 63) / 64 * 64;
    p = static_cast<T*>(std::aligned_alloc(64, bytes));
    if (!p) throw std::bad_alloc();
    std::memset(p, 0, bytes);
  }
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  Array(Array&& other) noexcept : p(other.p) { other.p = nullptr; }
  ~Array() { std::free(p); }
};

template <class T> struct ConvBuffers {
  Array<T> x, z, dz, dx;  // padded input, output, its padded gradient, the input's gradient
  Map forward, backward;
  std::vector<Norm<T>> norms;
};

template <class T> struct DenseBuffers {
  Array<T> x, xt, z, y, dz, dx;
  Map forward, backward, outer;
  std::vector<Norm<T>> norms;
};

// A net's images: float [samples, C, H, W] at `x`, or rows `index` of uint8 images at `pool`.
template <class T> struct Images {
  const T* x;
  const uint8_t* pool;
  const int64_t* index;
};

template <class T> struct Net {  // one net of the call
  const T* weights;
  T* gradient;
  std::vector<T*> stats;
  std::vector<const T*> masks;
  int activation;
  T smoothing;
};

template <class T> class Workspace {
 public:
  Workspace(const int32_t* plan, int samples) : n_(samples) {
    const int convs = *plan++, denses = *plan++;
    int side = *plan++, width = *plan++;
    channels_ = width, input_ = side;
    outputs_ = *plan++;
    normed_ = *plan++;
    for (int l = 0; l < convs; l++, plan += 4) {
      ConvShape s{width, plan[0], plan[1], plan[2], plan[3], side, 0, 0, 0};
      s.side = side + 2 * s.padding - s.kernel + 1;
      s.side_out = s.pool ? s.side / 2 : s.side;
      s.halo = s.kernel - 1 - s.padding;
      conv_.push_back(s);
      width = s.out, side = s.side_out;
    }
    int in = width * side * side;
    for (int l = 0; l < denses; l++) dense_.push_back({in, plan[l]}), in = plan[l];
    dense_.push_back({in, outputs_});
    allocate();
    for (int i = 0; i < 256; i++) level_[i] = T(i) / T(255);
  }

  Losses<T> train(Images<T> images, const int64_t* labels, Net<T>& net) {
    forward(images, net, true);
    const auto& last = buffers_.back();
    auto losses = cross_entropy<T>(last.z.p, outputs_, n_, labels, net.smoothing, last.dz.p);
    backward(net);
    return losses;
  }

  void logits(Images<T> images, Net<T>& net, T* out) {
    forward(images, net, false);
    transpose(outputs_, n_, buffers_.back().z.p, out);
  }

  int stats() const { return normed_ ? 2 * (int)(conv_.size() + dense_.size() - 1) : 0; }
  int hidden() const { return (int)dense_.size() - 1; }
  int outputs() const { return outputs_; }
  int samples() const { return n_; }
  size_t image() const { return (size_t)channels_ * input_ * input_; }

 private:
  struct DenseShape { int in, out; };

  ptrdiff_t line(const ConvShape& s) const { return (ptrdiff_t)(s.side_in + 2 * s.padding) * n_; }
  ptrdiff_t channel(const ConvShape& s) const { return line(s) * (s.side_in + 2 * s.padding); }
  ptrdiff_t d_line(const ConvShape& s) const { return (ptrdiff_t)(s.side + 2 * s.halo) * n_; }
  ptrdiff_t d_channel(const ConvShape& s) const { return d_line(s) * (s.side + 2 * s.halo); }

  void allocate() {
    size_t packed = 0, sums = 1;
    for (const auto& s : conv_) {
      ConvBuffers<T> b;
      const size_t weights = (size_t)s.in * s.out * s.kernel * s.kernel;
      packed = std::max(packed, weights), sums = std::max(sums, weights);
      b.x.make((size_t)s.in * channel(s));
      b.z.make((size_t)s.out * s.side * s.side * n_);
      b.dz.make((size_t)s.out * d_channel(s));
      b.dx.make((size_t)s.in * s.side_in * s.side_in * n_);
      b.forward = Map::convolution(s.in, s.kernel, s.padding, s.side_in, s.side, n_, channel(s),
                                   line(s), Simd<T>::n);
      b.backward = Map::convolution(s.out, s.kernel, s.halo, s.side, s.side_in, n_, d_channel(s),
                                    d_line(s), Simd<T>::n);
      b.norms.resize(s.out);
      convs_.push_back(std::move(b));
    }
    for (const auto& s : dense_) {
      DenseBuffers<T> b;
      packed = std::max({packed, (size_t)s.in * s.out, (size_t)s.out * n_});
      b.x.make((size_t)s.in * n_);
      b.xt.make((size_t)s.in * n_);
      b.z.make((size_t)s.out * n_);
      b.y.make((size_t)s.out * n_);
      b.dz.make((size_t)s.out * n_);
      b.dx.make((size_t)s.in * n_);
      b.forward = Map::dense(s.in, n_);
      b.backward = Map::dense(s.out, n_);
      b.outer = Map::dense(n_, s.in);
      b.norms.resize(s.out);
      buffers_.push_back(std::move(b));
    }
    packed_.make(packed);
    sums_.make(sums * Simd<T>::n);
  }

  void take_images(Images<T> images) {
    const auto& s = conv_.front();
    T* x = convs_.front().x.p;
    constexpr int group = 16;
    const size_t pixels = image();
    for (int first = 0; first < n_; first += group) {
      const int count = std::min(group, n_ - first);
      const uint8_t* bytes[group];
      const T* values[group];
      for (int i = 0; i < count; i++) {
        if (images.x) values[i] = images.x + (size_t)(first + i) * pixels;
        else bytes[i] = images.pool + (size_t)images.index[first + i] * pixels;
      }
      size_t at = 0;
      for (int c = 0; c < channels_; c++)
        for (int row = 0; row < input_; row++) {
          T* to = x + c * channel(s) + (row + s.padding) * line(s) + s.padding * n_ + first;
          for (int column = 0; column < input_; column++, at++, to += n_) {
            if (images.x) for (int i = 0; i < count; i++) to[i] = values[i][at];
            else for (int i = 0; i < count; i++) to[i] = level_[bytes[i][at]];
          }
        }
    }
  }

  void forward(Images<T> images, Net<T>& net, bool training) {
    take_images(images);
    const T* w = net.weights;
    auto stat = net.stats.begin();
    for (size_t l = 0; l < conv_.size(); l++) {
      const auto& s = conv_[l];
      auto& b = convs_[l];
      const int area = s.kernel * s.kernel, depth = s.in * area;
      pack(s.out, area, s.in, packed_.p, [&](int o, int tap, int c) {
        return w[(ptrdiff_t)o * depth + c * area + tap];
      });
      const T* bias = w + (ptrdiff_t)s.out * depth;
      w = bias + s.out;
      const ptrdiff_t z_channel = (ptrdiff_t)s.side * s.side * n_;
      multiply(s.out, depth, b.forward, b.x.p, bias, b.z.p, z_channel);
      // The next layer's padded input, or the dense layers' flat one.
      const bool inner = l + 1 < conv_.size();
      const ConvShape* next = inner ? &conv_[l + 1] : nullptr;
      const ptrdiff_t out_line = inner ? line(*next) : (ptrdiff_t)s.side_out * n_;
      const ptrdiff_t out_channel = inner ? channel(*next) : out_line * s.side_out;
      T* out = inner ? convs_[l + 1].x.p + next->padding * (out_line + n_) : buffers_[0].x.p;
      with_activation(net.activation, [&](auto a) {
        for (int o = 0; o < s.out; o++) {
          const T* z = b.z.p + o * z_channel;
          b.norms[o] = normed_ ? norm_of(z, z_channel, w[o], w[s.out + o], stat[0] + o,
                                         stat[1] + o, training)
                               : Norm<T>{};
          activate<T, decltype(a)>(z, s.side, n_, s.pool, b.norms[o], out + o * out_channel,
                                   out_line);
        }
      });
      if (normed_) w += 2 * s.out, stat += 2;
    }
    for (size_t l = 0; l < dense_.size(); l++) {
      const auto& s = dense_[l];
      auto& b = buffers_[l];
      pack(s.out, 1, s.in, packed_.p,
           [&](int o, int, int i) { return w[(ptrdiff_t)o * s.in + i]; });
      const T* bias = w + (ptrdiff_t)s.out * s.in;
      w = bias + s.out;
      multiply(s.out, s.in, b.forward, b.x.p, bias, b.z.p, n_);
      if (l + 1 == dense_.size()) return;
      const T* mask = training ? net.masks[l] : nullptr;
      with_activation(net.activation, [&](auto a) {
        for (int o = 0; o < s.out; o++) {
          T* y = b.y.p + (ptrdiff_t)o * n_;
          activate<T, decltype(a)>(b.z.p + (ptrdiff_t)o * n_, 1, n_, false, Norm<T>{}, y, 0);
          auto& norm = b.norms[o] = normed_ ? norm_of(y, n_, w[o], w[s.out + o], stat[0] + o,
                                                      stat[1] + o, training)
                                            : Norm<T>{};
          T* out = buffers_[l + 1].x.p + (ptrdiff_t)o * n_;
          along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
            put(out + j, fetch(y + j, lanes, whole) * norm.slope + norm.base, lanes, whole);
          });
          if (mask)
            for (int i = 0; i < n_; i++) out[i] *= mask[(ptrdiff_t)i * s.out + o];
        }
      });
      if (normed_) w += 2 * s.out, stat += 2;
    }
  }

  void backward(Net<T>& net) {
    // From the end: `w` and `g` point after the tensors of the next layer to process.
    size_t end = 0;
    for (const auto& s : conv_)
      end += (size_t)s.out * (s.in * s.kernel * s.kernel + (normed_ ? 3 : 1));
    for (size_t l = 0; l < dense_.size(); l++)
      end += (size_t)dense_[l].out * (dense_[l].in + (normed_ && l + 1 < dense_.size() ? 3 : 1));
    const T* w = net.weights + end;
    T* g = net.gradient + end;
    for (int l = (int)dense_.size() - 1; l >= 0; l--) back_dense(l, net, w, g);
    for (int l = (int)conv_.size() - 1; l >= 0; l--) back_conv(l, net, w, g);
  }

  void back_dense(int l, Net<T>& net, const T*& w, T*& g) {
    const auto& s = dense_[l];
    auto& b = buffers_[l];
    const bool last = l + 1 == (int)dense_.size();
    if (!last && normed_) w -= 2 * s.out, g -= 2 * s.out;
    T *shift = g, *scale = g + s.out;
    w -= (ptrdiff_t)s.out * (s.in + 1), g -= (ptrdiff_t)s.out * (s.in + 1);
    T* bias = g + (ptrdiff_t)s.out * s.in;
    if (last) {
      for (int o = 0; o < s.out; o++) {
        Vec<T> total{};
        along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
          total += fetch(b.dz.p + (ptrdiff_t)o * n_ + j, lanes, whole);
        });
        bias[o] = sum<T>(total);
      }
    } else {
      back_hidden(l, net, shift, scale, bias);
    }
    transpose(s.in, n_, b.x.p, b.xt.p);
    pack(s.out, 1, n_, packed_.p,
         [&](int o, int, int n) { return b.dz.p[(ptrdiff_t)o * n_ + n]; });
    multiply(s.out, n_, b.outer, b.xt.p, nullptr, g, s.in);
    pack(s.in, 1, s.out, packed_.p,
         [&](int i, int, int o) { return w[(ptrdiff_t)o * s.in + i]; });
    multiply(s.in, s.out, b.backward, b.dz.p, nullptr, b.dx.p, n_);
  }

  // Through dropout, norm and activation of a hidden dense layer.
  void back_hidden(int l, Net<T>& net, T* shift, T* scale, T* bias) {
    const auto& s = dense_[l];
    auto& b = buffers_[l];
    const T* mask = net.masks[l];
    with_activation(net.activation, [&](auto act) {
      using A = decltype(act);
      for (int o = 0; o < s.out; o++) {
        const ptrdiff_t at = (ptrdiff_t)o * n_;
        T* d = buffers_[l + 1].dx.p + at;
        const T *y = b.y.p + at, *z = b.z.p + at;
        const Norm<T> norm = b.norms[o];
        for (int i = 0; i < n_; i++) d[i] *= mask[(ptrdiff_t)i * s.out + o];
        Vec<T> sd{}, sy{};
        along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
          const Vec<T> v = fetch(d + j, lanes, whole);
          sd += v;
          sy += v * (fetch(y + j, lanes, whole) - norm.mean);
        });
        const T total = sum<T>(sd), weighted = sum<T>(sy) * norm.inverse;
        if (normed_) shift[o] = total, scale[o] = weighted;
        const T a = normed_ ? norm.slope * total / n_ : 0;
        const T c = normed_ ? norm.slope * weighted / n_ * norm.inverse : 0;
        Vec<T> sz{};
        along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
          const Vec<T> v = fetch(y + j, lanes, whole);
          const Vec<T> da = fetch(d + j, lanes, whole) * norm.slope - a - (v - norm.mean) * c;
          const Vec<T> dz = da * A::template df<T>(fetch(z + j, lanes, whole), v);
          put(b.dz.p + at + j, dz, lanes, whole);
          sz += only<T>(dz, lanes, whole);
        });
        bias[o] = sum<T>(sz);
      }
    });
  }

  void back_conv(int l, Net<T>& net, const T*& w, T*& g) {
    const auto& s = conv_[l];
    auto& b = convs_[l];
    const int area = s.kernel * s.kernel, depth = s.in * area;
    if (normed_) w -= 2 * s.out, g -= 2 * s.out;
    T *shift = g, *scale = g + s.out;
    w -= (ptrdiff_t)s.out * (depth + 1), g -= (ptrdiff_t)s.out * (depth + 1);
    T* bias = g + (ptrdiff_t)s.out * depth;
    const bool inner = l + 1 < (int)conv_.size();
    const ConvShape* next = inner ? &conv_[l + 1] : nullptr;
    const ptrdiff_t out_line = inner ? line(*next) : (ptrdiff_t)s.side_out * n_;
    const ptrdiff_t out_channel = inner ? channel(*next) : out_line * s.side_out;
    const T* out = inner ? convs_[l + 1].x.p + next->padding * (out_line + n_) : buffers_[0].x.p;
    T* d = inner ? convs_[l + 1].dx.p : buffers_[0].dx.p;
    const ptrdiff_t z_channel = (ptrdiff_t)s.side * s.side * n_;
    const ptrdiff_t d_size = (ptrdiff_t)s.side_out * s.side_out * n_;
    T* dz = b.dz.p + s.halo * (d_line(s) + n_);
    with_activation(net.activation, [&](auto a) {
      for (int o = 0; o < s.out; o++) {
        const auto found = back<T, decltype(a)>(
            b.z.p + o * z_channel, s.side, n_, s.pool, normed_, b.norms[o], out + o * out_channel,
            out_line, d + o * d_size, dz + o * d_channel(s), d_line(s));
        if (normed_) shift[o] = found.shift, scale[o] = found.scale;
        bias[o] = found.bias;
      }
    });
    correlate(Correlation<T>{s.in, s.out, s.kernel, s.padding, s.side_in, s.side, n_, b.x.p, dz,
                             channel(s), line(s), d_channel(s), d_line(s), (Vec<T>*)sums_.p},
              g);
    if (l == 0) return;
    pack(s.in, area, s.out, packed_.p, [&](int i, int tap, int o) {
      return w[(ptrdiff_t)o * depth + (ptrdiff_t)i * area + (area - 1 - tap)];
    });
    multiply(s.in, s.out * area, b.backward, b.dz.p, nullptr, b.dx.p,
             (ptrdiff_t)s.side_in * s.side_in * n_);
  }

  // out[row] = packed weights [rows, depth] times `in`, as the map cuts it.
  void multiply(int rows, int depth, const Map& map, const T* in, const T* bias, T* out,
                ptrdiff_t out_row) {
    product(rows, depth, map.lines, map.length, packed_.p, map.offsets.data(), in, bias, out,
            out_row);
  }

  int n_, channels_, input_, outputs_;
  bool normed_;
  std::vector<ConvShape> conv_;
  std::vector<DenseShape> dense_;
  std::vector<ConvBuffers<T>> convs_;
  std::vector<DenseBuffers<T>> buffers_;
  Array<T> packed_, sums_;
  T level_[256];
};

// The arguments of a call; the same layout as `Call` in native/__init__.py.
template <class T> struct Call {
  int64_t nets, values;       // nets, and trainable values of each
  const uint8_t* pool;        // images uint8 [*, C, H, W]
  const int64_t* index;       // [nets, samples] rows of pool
  const T* const* images;     // per net [samples, C, H, W], or null: by index
  const int64_t* labels;      // [nets, samples]
  const T* weights;           // [nets, values]
  T* const* stats;            // running statistics in layout order, each [nets, width]
  const int32_t* widths;      // of each of them
  const T* const* masks;      // a factor for each hidden dense layer [nets, samples, width]
  const int32_t* hidden;      // widths of the hidden dense layers
  const int32_t* activation;  // [nets]
  const T* smoothing;         // [nets]
  T* out;                     // gradient [nets, values], or logits [nets, samples, outputs]
  double* losses;             // [3, nets]: loss, negative log likelihood, share of correct answers
};

template <class T> void run(Workspace<T>& space, const Call<T>& call, bool training) {
  const int n = space.samples();
  for (int64_t m = 0; m < call.nets; m++) {
    Net<T> net;
    net.weights = call.weights + m * call.values;
    for (int s = 0; s < space.stats(); s++)
      net.stats.push_back(call.stats[s] + m * call.widths[s]);
    net.activation = call.activation[m];
    Images<T> images{call.images ? call.images[m] : nullptr, call.pool,
                     call.index ? call.index + m * n : nullptr};
    if (!training) {
      net.gradient = nullptr, net.smoothing = 0;
      space.logits(images, net, call.out + m * n * space.outputs());
      continue;
    }
    for (int l = 0; l < space.hidden(); l++)
      net.masks.push_back(call.masks[l] + m * n * call.hidden[l]);
    net.smoothing = call.smoothing[m];
    net.gradient = call.out + m * call.values;
    const auto found = space.train(images, call.labels + m * n, net);
    call.losses[m] = found.loss;
    call.losses[call.nets + m] = found.nll;
    call.losses[2 * call.nets + m] = found.correct;
  }
}

// Images of `nets` nets, `samples` each: rows `index` of pool, uint8 [*, C, H, W], augmented with
// numbers of each net's two streams, to T [nets, samples, C, H, W].
template <class T>
void augment(const uint8_t* pool, const int64_t* index, const uint64_t* keys,
             const uint64_t* noise_keys, const double (*ranges)[2], const int64_t* shape, T* to) {
  const int64_t nets = shape[0], samples = shape[1];
  const int channels = (int)shape[2], height = (int)shape[3], width = (int)shape[4];
  const size_t values = (size_t)channels * height * width;
  Augmenter<T> augmenter(channels, height, width, ranges);
  for (int64_t m = 0; m < nets; m++)
    for (int64_t n = 0; n < samples; n++, index++, to += values)
      augmenter.image(pool + *index * values, keys[m], noise_keys[m], n, to);
}

template <class T> void* make(const int32_t* plan, int samples) {
  try {
    return new Workspace<T>(plan, samples);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace ws

extern "C" {
void* ws_new_f32(const int32_t* plan, int samples) { return ws::make<float>(plan, samples); }
void* ws_new_f64(const int32_t* plan, int samples) { return ws::make<double>(plan, samples); }
void ws_free_f32(void* space) { delete static_cast<ws::Workspace<float>*>(space); }
void ws_free_f64(void* space) { delete static_cast<ws::Workspace<double>*>(space); }
void ws_run_f32(void* space, const void* call, int training) {
  ws::run(*static_cast<ws::Workspace<float>*>(space), *static_cast<const ws::Call<float>*>(call),
          training);
}
void ws_run_f64(void* space, const void* call, int training) {
  ws::run(*static_cast<ws::Workspace<double>*>(space),
          *static_cast<const ws::Call<double>*>(call), training);
}
void ws_augment_f32(const uint8_t* pool, const int64_t* index, const uint64_t* keys,
                    const uint64_t* noise_keys, const double (*ranges)[2], const int64_t* shape,
                    float* to) {
  ws::augment(pool, index, keys, noise_keys, ranges, shape, to);
}
void ws_augment_f64(const uint8_t* pool, const int64_t* index, const uint64_t* keys,
                    const uint64_t* noise_keys, const double (*ranges)[2], const int64_t* shape,
                    double* to) {
  ws::augment(pool, index, keys, noise_keys, ranges, shape, to);
}
// The widest instruction set that this processor has and a build exists for: 2, 3 or 4.
int ws_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 4;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 3;
#endif
  return 2;
}
}
